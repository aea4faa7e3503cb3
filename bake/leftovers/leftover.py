"""One thing that an earlier bake left."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Kind(str, Enum):
    """What it is."""

    IMAGE = "image"
    FOLDER = "build folder"
    PART = "unfinished asset"
    ASSET = "asset"
    CACHE = "build cache"


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """What can be removed.

    Args:
        size: bytes that removing it frees; of an image, those that no other image shares. why: why it is listed.
        kept: why it stays, "" where it goes. remove: removes it and gives the bytes freed.

    """

    kind: Kind
    name: str
    size: int
    why: str
    kept: str = ""
    remove: Callable[[], int]
