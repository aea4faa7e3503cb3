"""What ``results.json`` has to hold for those that read it: whatever else lies there under that name is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


Time = Annotated[str, AfterValidator(_time)]  # ISO 8601
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Step(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    kind: str
    state: str
    started: Time | None
    completed: Time | None
    seconds: Seconds
    cached: bool
    shared_with: str
    error: str


class _Target(_Part):
    state: str
    digest: str | None = None
    tags: list[str] = []
    steps: list[_Step]


class _Counted(_Part):
    ran: Count
    cached: Count


class _Cpu(_Part):
    seconds: Seconds | None = None
    cores: Count | None = None


class _CompilerCache(_Part):
    hits: Count | None = None
    calls: Count | None = None


class _Compilers(_Part):
    budget: str = ""
    measured: str = ""


class _Wheel(_Part):
    compiler_cache: _CompilerCache | None = None
    compilers: _Compilers | None = None


class _Failure(_Part):
    text: str = ""


class _Published(_Part):
    tags: list[str] | None = None


class RecordForm(_Part):
    """A record, as the commands read it; keys that it does not name are let pass."""

    recipe: str
    state: str
    started: Time
    completed: Time
    seconds: Seconds
    requested: list[str]
    failure: _Failure | None = None
    targets: dict[str, _Target]
    cache: dict[str, _Counted] | None = None
    wheels: dict[str, _Wheel] | None = None
    keys: dict[str, dict[str, str]] | None = None
    cpu: _Cpu | None = None
    published: _Published | None = None


def check(data: dict[str, Any]) -> None:
    """Look at a record.

    Raises:
        ValueError: it is none; pydantic's, which names every place.
    """
    RecordForm.model_validate(data)
