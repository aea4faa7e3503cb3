"""Quoting for HCL, the language of bake files. Nothing is quoted by hand anywhere else.

Source: the HCL native syntax specification, sections "Template expressions" and "String literals"
(hashicorp/hcl, hclsyntax/spec.md): a backslash escapes, ``${`` and ``%{`` open templates and are doubled.
"""

from __future__ import annotations

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


def hcl_list(values: object) -> str:
    """Quote a sequence of values as an HCL list of strings."""
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"not a sequence: {values!r}")
    return "[" + ", ".join(hcl_string(value) for value in values) + "]"


def hcl_line(value: object) -> str:
    """Make a text fit for a ``#`` comment: one line, no control characters."""
    return "".join(char if char.isprintable() else " " for char in str(value))


def _escape_control(char: str) -> str:
    return char if char >= " " and char != "\x7f" else f"\\u{ord(char):04x}"
