"""What every section of a recipe and a site file is made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def matches(pattern: re.Pattern[str], what: str) -> AfterValidator:
    """Make a validator that takes a text which is all of a pattern; ``what`` says what the text should be."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not {what}")
        return text

    return AfterValidator(check)


def _kebab(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class Section(BaseModel):
    """What all sections share: frozen, strict, no unknown keys, kebab-case."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=_kebab, populate_by_name=False)


def _absolute(text: str) -> str:
    if not text.startswith("/") or "/../" in f"{text}/" or "\n" in text:
        raise ValueError(f"{text!r} is not an absolute path inside the image")
    return text.rstrip("/") or "/"


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
NonEmpty = Annotated[str, Field(min_length=1)]
Name = Annotated[str, matches(_NAME, "a name: lower-case letters, digits and single hyphens")]
