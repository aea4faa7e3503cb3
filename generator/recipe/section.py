"""What every section of a recipe and a site file is made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from bake.address import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNMOUNTABLE = re.compile(r"[,\"'`$\\]")


def matches(pattern: re.Pattern[str], what: str) -> AfterValidator:
    """Make a validator that takes a text which is all of a pattern; ``what`` says what the text should be."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{quoted(text)} is not {what}")
        return text

    return AfterValidator(check)


def _kebab(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class Section(BaseModel):
    """What all sections share: frozen, strict, no unknown keys, kebab-case, texts of one line.

    A line break in a text could begin an instruction of a Dockerfile; ``of_lines`` names the fields that may have one.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        alias_generator=_kebab,
        populate_by_name=False,
    )
    of_lines: ClassVar[tuple[str, ...]] = ()

    @field_validator("*")
    @classmethod
    def _one_line(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name not in cls.of_lines:
            for text in texts(value):
                if _CONTROL.search(text):
                    raise ValueError(
                        f"{quoted(text)} has a line break or another control character; write it on one line"
                    )
        return value


def texts(value: Any) -> Iterator[str]:
    """Give the texts of a value; tables inside are sections of their own."""
    entries = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, tuple) else (value,)
    return (entry for entry in entries if isinstance(entry, str))


def _absolute(text: str) -> str:
    if not text.startswith("/") or "/../" in f"{text}/":
        raise ValueError(f"{text!r} is not an absolute path inside the image")
    if unfit := _UNMOUNTABLE.search(text):
        raise ValueError(f"{text!r} holds {unfit[0]!r}, which no mount takes; name a path without , \" ' ` $ \\")
    return text.rstrip("/") or "/"


def _without_blanks(text: str) -> str:
    if re.search(r"\s", text):
        raise ValueError(f"{text!r} holds a blank, which ends a word of a Dockerfile; name a path without one")
    return text


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Prefix = Annotated[AbsolutePath, AfterValidator(_without_blanks)]
NonEmpty = Annotated[str, Field(min_length=1)]
Name = Annotated[str, matches(_NAME, "a name: lower-case letters, digits and single hyphens")]
