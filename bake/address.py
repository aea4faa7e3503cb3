"""Addresses: who is meant by one, which tells where a login may go."""

from __future__ import annotations

from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int | None]:
    """Give scheme, host and port (RFC 6454): two addresses that have them in common are of one server.

    Raises:
        ValueError: the address can't be read.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
