"""Finds the line of a key in a TOML text, for messages; a parser gives values, not places."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER = re.compile(r"^\s*\[\[?\s*(?P<path>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"^\s*(?P<path>(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
_PART = re.compile(r"\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+")
# Strings (those of several lines first) and comments as a whole, so that no bracket in them counts.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]', re.DOTALL
)


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Map the path of every table and key to its line, counted from 1.

    A table that has no line of its own has that of the first thing in it. Keys inside inline tables and multi-line
    values have no entry.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    inside = _inside(text)
    for number, line in enumerate(text.split("\n"), start=1):
        if number in inside:
            continue
        header = _HEADER.match(line)
        if header:
            table = _parts(header["path"])
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault(table + _parts(key["path"]), number)
    for path, number in tuple(lines.items()):
        for length in range(1, len(path)):
            lines.setdefault(path[:length], number)
    return lines


def _inside(text: str) -> set[int]:
    """Give the lines that begin within a string, list or table of several lines."""
    inside: set[int] = set()
    line, at, depth, first = 1, 0, 0, 0
    for token in _TOKEN.finditer(text):
        line, at = line + text.count("\n", at, token.start()), token.start()
        if token[0] in "[{":
            first = first if depth else line
            depth += 1
        elif token[0] in "]}":
            depth -= 1
            inside.update(() if depth else range(first + 1, line + 1))
        else:
            inside.update(range(line + 1, line + token[0].count("\n") + 1))
    return inside


def line_of(lines: dict[tuple[str, ...], int], path: Sequence[str | int]) -> int | None:
    """Give the line of the nearest enclosing key that has one."""
    names = tuple(str(part) for part in path)
    return next((lines[names[:length]] for length in range(len(names), 0, -1) if names[:length] in lines), None)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(path))
