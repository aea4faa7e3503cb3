"""Reads TOML that people write, whatever stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomli

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path


def read_text(file: Path | Traversable) -> str:
    """Give the text of a file, without the mark that some editors begin UTF-8 with.

    Raises:
        OSError: it can't be read. UnicodeDecodeError: it is not UTF-8.
    """
    return file.read_text(encoding="utf-8").removeprefix("\ufeff")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a document.

    Raises:
        ValueError: it is not valid TOML, or holds a number or nesting that no file needs; the message says where.
    """
    try:
        return tomli.loads(text)
    except RecursionError as error:
        raise ValueError("its lists or tables are nested too deeply") from error
