"""Quoting and alignment for HCL, the language of bake files. Nothing is quoted by hand anywhere else.

Source: the HCL native syntax specification, sections "Template expressions" and "String literals"
(hashicorp/hcl, hclsyntax/spec.md): a backslash escapes, ``${`` and ``%{`` open templates and are doubled.
"""

from __future__ import annotations

import re
from itertools import groupby

_ATTRIBUTE = re.compile(r'(?P<name> *(?:[\w-]+|"[^"]*")) *= (?P<value>.*[^\[({])')
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def hcl_string(value: object) -> str:
    """Quote a value as an HCL string literal.

    Raises:
        ValueError: the text holds NUL or a lone surrogate, which no HCL string can.
    """
    text = str(value)
    if "\0" in text:
        raise ValueError("an HCL string can't hold NUL")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("an HCL string can't hold a lone surrogate")
    escaped = "".join(_ESCAPES.get(char) or _escape_control(char) for char in text)
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def hcl_line(value: object) -> str:
    """Make a text fit for a ``#`` comment: one line, no control characters."""
    return "".join(char if char.isprintable() else " " for char in str(value))


def hcl_aligned(text: str) -> str:
    """Align the equals signs of neighbouring lines, as hclfmt does; a line that opens a list or a map stands alone."""
    lines: list[str] = []
    found = ((line, _ATTRIBUTE.fullmatch(line)) for line in text.split("\n"))
    for _, neighbours in groupby(found, key=lambda pair: pair[1] is None):
        run = list(neighbours)
        width = max(len(match["name"]) if match else 0 for _, match in run)
        lines += [f"{match['name']:{width}} = {match['value']}" if match else line for line, match in run]
    return "\n".join(lines)


def _escape_control(char: str) -> str:
    return char if char >= " " and char != "\x7f" else f"\\u{ord(char):04x}"
