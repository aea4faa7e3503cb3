"""Reads TOML that people write, whatever stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomli

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path


LARGEST = 4 << 20  # characters
DEEPEST = 50  # tables and lists one in another
_DEEP = f"its lists or tables are nested too deeply; {DEEPEST} levels are read"


def read_text(file: Path | Traversable) -> str:
    """Give the text of a file, without the mark that some editors begin UTF-8 with.

    Raises:
        OSError: it can't be read. UnicodeDecodeError: it is not UTF-8.
    """
    return file.read_text(encoding="utf-8").removeprefix("\ufeff")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a document.

    Raises:
        ValueError: it is not valid TOML, or has a size, number or nesting that no file needs; the message says where.
    """
    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text)} characters, more than {LARGEST}")
    try:
        read = tomli.loads(text)
    except RecursionError as error:
        raise ValueError(_DEEP) from error
    inner: list[Any] = [read]
    for _ in range(DEEPEST):  # what reads the document goes down by itself, and must come to an end
        inner = [value for outer in inner for value in _inside(outer)]
    if inner:
        raise ValueError(_DEEP)
    return read


def _inside(outer: Any) -> list[Any]:
    values = outer.values() if isinstance(outer, dict) else outer
    return [value for value in values if isinstance(value, (dict, list))]
