"""Durations and sizes for people, and numbers of programs."""

from __future__ import annotations

import re

_NUMBER = re.compile("[0-9]{1,18}")
_MINUTE = 60
_HOUR = 3600
_STEP = 1000.0
_SPAN = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``1 h 02 min``."""
    if seconds < 9.95:  # noqa: PLR2004 - below ten seconds, tenths matter
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def seconds_in(text: str) -> int:
    """Read a duration: ``5h30m``, ``90m``, ``45s``.

    Raises:
        ValueError: it is none, or nothing.
    """
    match = _SPAN.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in (match.groups() if match else ("", "", "")))
    if not (total := hours * _HOUR + minutes * _MINUTE + seconds):
        raise ValueError(f"{text!r} is no duration")
    return total


def number_in(text: str) -> int | None:
    """Read a number as headers of HTTP write it; None for anything else, and what no count of bytes or seconds is."""
    return int(text) if _NUMBER.fullmatch(text) else None


def size(count: float) -> str:
    """``512 B``, ``1.4 MB``, ``5.4 GB``: powers of 1000, as registries count."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < _STEP:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} TB"
