"""Looks for known causes in any log: BuildKit's plain or raw JSON progress, a compiler's, pip's, a program's."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from bake.failure.causes import Known, causes, told
from bake.progress import rawjson
from bake.progress.escapes import without_escapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CHUNK = 1 << 20  # characters that are searched at a time
_SHOWN = 240  # characters of a line that is shown


@dataclass(frozen=True, kw_only=True)
class Found:
    """A known cause in a log: the first line that names it (counted from 1), and how many lines do."""

    known: Known
    line: int
    text: str
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found in a log of so many lines, in the order of the log."""

    lines: int
    found: tuple[Found, ...]


def diagnose(log: Iterable[str]) -> Diagnosis:
    """Look through a log, line by line; each line names one cause at most, the first one in the table.

    What only follows from something else (a cancelled build) is left out where another cause was found.
    """
    found: dict[str, Found] = {}
    lines = 0
    for chunk in _chunks(log):
        lines = chunk[-1][0]
        for entry in _search(chunk):
            before = found.get(entry.known.id)
            found[entry.known.id] = replace(before, count=before.count + 1) if before else entry
    minor = {cause.id for cause in causes() if cause.minor}
    if not found.keys() <= minor:
        found = {key: entry for key, entry in found.items() if key not in minor}
    return Diagnosis(lines=lines, found=tuple(found.values()))


def _chunks(log: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """Parts of the log as (number of the line, one line of text), without escapes; raw JSON is unpacked.

    Quotes that another log escaped (the engine's own does) read as they were said.
    """
    chunk: list[tuple[int, str]] = []
    size = 0
    for number, line in enumerate(log, start=1):
        for text in _texts(line):
            chunk.append((number, without_escapes(text).replace('\\"', '"')))
            size += len(text)
        if size > _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _texts(line: str) -> list[str]:
    if not line.startswith("{"):
        return [line.rstrip("\r\n")]
    parsed = rawjson.parse_line(line)
    if isinstance(parsed, str):
        return [parsed.rstrip("\r\n")]
    said = [vertex.error for vertex in parsed.vertexes] + [log.data for log in parsed.logs]
    return [text for entry in said for text in entry.splitlines()] or [""]


def _search(chunk: list[tuple[int, str]]) -> Iterator[Found]:
    text = "\n".join(line for _, line in chunk)
    starts = [0, *accumulate(len(line) + 1 for _, line in chunk)]
    named: dict[int, Known] = {}
    for cause in causes():
        for pattern in cause.patterns:
            for match in pattern.finditer(text):
                row = bisect_right(starts, match.start()) - 1
                named.setdefault(row, told(cause, match))
    for row in sorted(named):
        number, line = chunk[row]
        yield Found(known=named[row], line=number, text=_shortened(line.strip()))


def _shortened(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
