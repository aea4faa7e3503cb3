"""BuildKit's ``--progress=rawjson`` lines as plain data; pure, and never raises on strange input.

The format is BuildKit's ``client.SolveStatus`` as JSON, one object per line: ``vertexes``, ``statuses``, ``logs``
(base64 data) and ``warnings`` (base64 text).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, kw_only=True)
class Vertex:
    """One report on a step; times in seconds since the epoch, None when unknown."""

    digest: str
    name: str
    started: float | None
    completed: float | None
    cached: bool
    error: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """Progress inside a step: bytes (or a count) done of a total; total 0 means unknown."""

    vertex: str
    id: str
    current: int
    total: int
    done: bool


@dataclass(frozen=True, kw_only=True)
class Log:
    """A piece of a step's output; it need not end at a line end."""

    vertex: str
    stream: int
    data: str
    timestamp: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A warning of the build checks, with its place when BuildKit gives one."""

    vertex: str
    short: str
    url: str
    file: str
    line: int | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that one line carried."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[Status, ...] = ()
    logs: tuple[Log, ...] = ()
    warnings: tuple[Warned, ...] = ()


def parse_line(line: str) -> Report | str:
    """Parse one line of the merged stream.

    Returns:
        a Report, or the line itself without its end when it is plain text (BuildKit's error text is).

    """
    text = line.rstrip("\r\n")
    if not text.startswith("{"):
        return text
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(raw, dict) or raw.keys() - {"vertexes", "statuses", "logs", "warnings"}:
        return text
    return Report(
        vertexes=tuple(_vertex(item) for item in _items(raw, "vertexes")),
        statuses=tuple(_status(item) for item in _items(raw, "statuses")),
        logs=tuple(_log(item) for item in _items(raw, "logs")),
        warnings=tuple(_warning(item) for item in _items(raw, "warnings")),
    )


def seconds_of(text: object) -> float | None:
    """Seconds since the epoch of an RFC 3339 time with up to nanoseconds; None when it is not one."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        whole = datetime.fromisoformat(match[1] + zone).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return whole.timestamp() + float(match[2] or 0)


def _items(raw: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = raw.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _number(item: dict[str, Any], key: str) -> int:
    value = item.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _decoded(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _vertex(item: dict[str, Any]) -> Vertex:
    return Vertex(
        digest=_text(item, "digest"),
        name=_text(item, "name"),
        started=seconds_of(item.get("started")),
        completed=seconds_of(item.get("completed")),
        cached=item.get("cached") is True,
        error=_text(item, "error"),
    )


def _status(item: dict[str, Any]) -> Status:
    return Status(
        vertex=_text(item, "vertex"),
        id=_text(item, "id") or _text(item, "name"),
        current=_number(item, "current"),
        total=_number(item, "total"),
        done=bool(item.get("completed")),
    )


def _log(item: dict[str, Any]) -> Log:
    return Log(
        vertex=_text(item, "vertex"),
        stream=_number(item, "stream"),
        data=_decoded(item.get("data")),
        timestamp=_text(item, "timestamp"),
    )


def _warning(item: dict[str, Any]) -> Warned:
    source = item.get("sourceInfo")
    ranges = item.get("range")
    first = ranges[0] if isinstance(ranges, list) and ranges and isinstance(ranges[0], dict) else {}
    start = first.get("start")
    return Warned(
        vertex=_text(item, "vertex"),
        short=_decoded(item.get("short")),
        url=_text(item, "url"),
        file=_text(source, "filename") if isinstance(source, dict) else "",
        line=(_number(start, "line") or None) if isinstance(start, dict) else None,
    )
