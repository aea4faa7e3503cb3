"""BuildKit's ``--progress=rawjson`` lines as plain data; pure, and never raises on strange input.

The format is BuildKit's ``client.SolveStatus`` as JSON, one object per line: ``vertexes``, ``statuses``, ``logs``
(base64 data) and ``warnings`` (base64 text). Fields of it that are not needed here are left out.
"""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
)

_TIME = TypeAdapter(AwareDatetime)


def _seconds(text: str) -> float:
    return _TIME.validate_python(text).timestamp()


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode("utf-8", errors="replace")


Seconds = Annotated[float, BeforeValidator(_seconds)]  # since the epoch, of an RFC 3339 time
Decoded = Annotated[str, AfterValidator(_decoded)]  # of base64


Count = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # Go's int64


class Vertex(BaseModel, frozen=True):
    """One report on a step."""

    digest: str = ""
    name: str = ""
    started: Seconds | None = None
    completed: Seconds | None = None
    cached: bool = False
    error: str = ""


class Status(BaseModel, frozen=True):
    """Progress inside a step: bytes (or a count) done of a total; total 0 means unknown."""

    vertex: str = ""
    id: str = Field("", validation_alias=AliasChoices("id", "name"))
    current: Count = 0
    total: Count = 0


class Log(BaseModel, frozen=True):
    """A piece of a step's output; it need not end at a line end."""

    vertex: str = ""
    stream: int = 0
    data: Decoded = ""
    timestamp: str = ""


class Warned(BaseModel, frozen=True):
    """A warning of the build checks, with its place when BuildKit gives one."""

    vertex: str = ""
    short: Decoded = ""
    url: str = ""
    file: str = Field("", validation_alias=AliasPath("sourceInfo", "filename"))
    line: Count | None = Field(None, validation_alias=AliasPath("range", 0, "start", "line"))


class Report(BaseModel, frozen=True, extra="forbid"):
    """All that one line carried."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[Status, ...] = ()
    logs: tuple[Log, ...] = ()
    warnings: tuple[Warned, ...] = ()


def parse_line(line: str) -> Report | str:
    """Parse one line of the merged stream.

    Returns:
        a Report, or the line itself without its end when it is plain text (BuildKit's error text is).

    """
    text = line.rstrip("\r\n")
    if not text.startswith("{"):
        return text
    try:
        return Report.model_validate_json(text)
    except ValidationError:
        return text
