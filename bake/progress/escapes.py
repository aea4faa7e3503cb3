"""Text without what would move the cursor, colour or retitle the terminal that it is shown on."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])|[\x00-\x08\x0b-\x1f\x7f]")


def without_escapes(text: str) -> str:
    """Drop colours and other control sequences of a terminal."""
    return _ESCAPES.sub("", text)
