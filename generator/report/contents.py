"""What ``bytes.json`` of a verification has to be; an image's Python wrote it, so nothing is taken for granted."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bake.buildx.record_form import first_mistake

SCHEMA = 1
_Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Counted(_Part):
    bytes: _Count
    files: _Count


class _Package(_Counted):
    name: str
    version: str


class _Duplicate(_Part):
    bytes: _Count
    paths: list[str]


class _Contents(_Part):
    error: str | None = None
    environment: _Counted | None = None
    added: _Counted | None = None
    changed: _Counted | None = None
    dead: _Counted | None = None
    repeated: _Counted | None = None
    kinds: dict[str, _Counted] = {}
    duplicated: _Counted | None = None
    patched: _Counted | None = None
    duplicates: list[_Duplicate] = []
    packages: list[_Package] = []


def parse_contents(text: bytes) -> dict[str, Any]:
    """Read the document; what the report does not show is left out.

    Raises:
        ValueError: it is not JSON, or of another form; the message says in one line what is wrong.
    """
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("its lists are nested too deeply") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError("another version wrote it")
    try:
        return _Contents.model_validate(data).model_dump(exclude_none=True, exclude_defaults=True)
    except ValidationError as error:
        raise ValueError(first_mistake(error)) from None
