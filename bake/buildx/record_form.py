"""The form of ``results.json``: what lies there under that name and has another one is refused.

An older version, or a tool, may have left out keys of the whole; those who need one say so to ``results.load``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


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
    state: str = ""
    digest: str | None = None
    tags: list[str] = []
    steps: list[_Step] = []


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


class _Record(_Part):
    recipe: str = ""
    state: str = ""
    started: Time = ""
    completed: Time = ""
    seconds: Seconds = 0.0
    requested: list[str] = []
    failure: _Failure | None = None
    targets: dict[str, _Target] = {}
    cache: dict[str, _Counted] | None = None
    wheels: dict[str, _Wheel] | None = None
    keys: dict[str, dict[str, str]] | None = None
    cpu: _Cpu | None = None
    published: _Published | None = None


def check(data: dict[str, Any]) -> None:
    """Look at a record; keys that it does not name are let pass.

    Raises:
        ValueError: it is none; the message names the first place that is wrong.
    """
    try:
        _Record.model_validate(data)
    except ValidationError as error:
        raise ValueError(first_mistake(error)) from None


def first_mistake(error: ValidationError) -> str:
    """Say of a document what pydantic found first, without the values in it."""
    found = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, found["loc"]))
    return f"{place}: {found['msg'][0].lower()}{found['msg'][1:]}"
