"""Addresses: whose one is, which tells where a login may go; and what of it may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_LOGIN = re.compile(r"[^/?#]*://[^/?#]*@|[^/?#]*@[^/?#]*/")  # of an address, and of an image's name
_UNSHOWN = re.compile(r".*@(?!sha\d+:)", re.DOTALL)  # what stands before an @, unless a digest follows that
NO_LOGIN = (
    "an address with a login, which logs and files would show; write the address without it, and into netrc: "
    "machine HOST login NAME password WORD"
)


def origin(url: str) -> tuple[str, str, int | None]:
    """Give scheme, host and port (RFC 6454): two addresses that have them in common are of one server.

    Raises:
        ValueError: the address can't be read.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def has_login(address: str) -> bool:
    """Tell whether a user or password stands in an address, as in ``https://me:word@host/``."""
    return _LOGIN.match(address) is not None


def quoted(value: object) -> str:
    """Write a refused value for a message: as Python does, without what stands before an @ and may be a login."""
    text = repr(value)
    login = _UNSHOWN.match(text)
    return f"'…@{text[login.end() :]}" if login else text


def shown(url: str) -> str:
    """Give an address without what may be secret in it: user, password, query, fragment."""
    place, mark, _ = url.partition("#")[0].partition("?")
    scheme, slashes, rest = place.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}{'?…' if mark else ''}"
