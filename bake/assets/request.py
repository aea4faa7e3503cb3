"""What is asked for: a file by address, with what is known of its content beforehand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Request:
    """One file to have on this machine.

    Args:
        name: the asset's name in the recipe. url: its address there; it identifies the file, wherever it is fetched
            from. file: the name it gets. sources: addresses to try in order. sha256, size: what the content has to be,
            None where nobody knows yet.
    """

    name: str
    url: str
    file: str
    sources: tuple[str, ...]
    sha256: str | None = None
    size: int | None = None

    @property
    def key(self) -> str:
        """Name of the folder that holds the file: the asset's name, and a hash of its address."""
        return key_of(self.name, self.url)


def key_of(name: str, url: str) -> str:
    """Name the folder of an asset: its name, and the first 12 hexadecimal digits of its address's SHA-256."""
    return f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
