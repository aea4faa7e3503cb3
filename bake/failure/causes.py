"""The table of known causes: error texts, what they mean and what to do. The table is data: ``causes.toml``."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import Enum
from importlib import resources

import tomli

from bake.errors import BuildFailed, EnvironmentUnfit, UpliftError, UsageError


class Speaker(Enum):
    """Who says it: the engine (docker, buildx, BuildKit, registries), a program in a step or image, or either."""

    ENGINE = "engine"
    PROGRAM = "program"
    ANY = "any"


_FAILURES: dict[str, type[UpliftError]] = {"unfit": EnvironmentUnfit, "build": BuildFailed, "usage": UsageError}


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One known cause; ``means`` and ``remedy`` have places for the named groups of the patterns."""

    id: str
    speaker: Speaker
    failure: type[UpliftError]
    patterns: tuple[re.Pattern[str], ...]
    means: str
    remedy: str
    minor: bool = False

    def search(self, text: str) -> re.Match[str] | None:
        """Find the earliest line of a text that names this cause."""
        found = [match for pattern in self.patterns if (match := pattern.search(text))]
        return min(found, key=lambda match: match.start(), default=None)


@dataclass(frozen=True, kw_only=True)
class Known:
    """A cause found in a text, told with what the text says: ``failure`` is what a bake ends with for it."""

    id: str
    message: str
    remedy: str
    failure: type[UpliftError]


@functools.cache
def causes() -> tuple[Cause, ...]:
    """Read the table that ships, in its order."""
    data = tomli.loads((resources.files("bake.failure") / "causes.toml").read_text(encoding="utf-8"))
    return tuple(
        Cause(
            id=row["id"],
            speaker=Speaker(row["speaker"]),
            failure=_FAILURES[row["failure"]],
            patterns=tuple(re.compile(pattern) for pattern in row["patterns"]),
            means=row["means"],
            remedy=row["remedy"],
            minor=row.get("minor", False),
        )
        for row in data["causes"]
    )


def find_cause(text: str, *, speaker: Speaker) -> Known | None:
    """Find the cause that a text names; the first in the table wins, those that often only follow come last.

    Args:
        text: an error, or the output of a step. speaker: who said it.
    """
    for cause in sorted(causes(), key=lambda cause: cause.minor):
        if cause.speaker in (speaker, Speaker.ANY) and (match := cause.search(text)):
            return told(cause, match)
    return None


def told(cause: Cause, match: re.Match[str]) -> Known:
    """Fill in what the text said; a place that the text leaves open is dropped with its brackets."""
    groups = {key: value for key, value in match.groupdict().items() if value}
    message, remedy = (_filled(text, groups) for text in (cause.means, cause.remedy))
    return Known(id=cause.id, message=message, remedy=remedy, failure=cause.failure)


def _filled(text: str, groups: dict[str, str]) -> str:
    def put(match: re.Match[str]) -> str:
        bracket, name = match["bracket"] or "", match["name"]
        if name in groups:
            return f"{bracket}{groups[name]}{match['rest'] or ''}"
        return "" if bracket else "?"

    return re.sub(r"(?P<bracket> \()?\{(?P<name>\w+)\}(?P<rest>(?(bracket)\)))", put, text)
