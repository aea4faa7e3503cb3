"""Quoting for the POSIX shell inside Dockerfiles."""

from __future__ import annotations

import shlex


def sh(value: object) -> str:
    """Quote one word for the shell.

    Raises:
        ValueError: a newline or another control character, which no word of a recipe needs.
    """
    text = str(value)
    if any(not char.isprintable() for char in text):
        raise ValueError(f"a word of a shell command can't hold control characters: {text!r}")
    return shlex.quote(text)


def sh_words(values: object) -> str:
    """Quote several words, separated by blanks."""
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"not a sequence: {values!r}")
    return " ".join(sh(value) for value in values)
