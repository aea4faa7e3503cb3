"""Shares a difference between file trees out over parts, each of which makes a layer below a limit. Pure.

Large files go first, the largest first, each into the first part that has room; small ones follow in order of their
paths and fill what is left, so that files of one folder mostly stay together. In order of paths alone, a part would
close half empty whenever a large file comes next. The same difference always gives the same parts.

What counts is a part's size as an uncompressed archive, which is known, and which no compression exceeds by more than a
trifle that is kept free.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Sequence, Set, Tuple

from conversion.layers.trees import Difference

MIB = 1 << 20
# A tar archive has 512 bytes of header for each entry, 1,024 more for a time with nanoseconds (PAX), and pads content
# to 512 bytes.
_UNIT = 512
_HEAD = 3 * _UNIT
# Files below this share of a part fill gaps.
_SMALL = 64


@dataclass(frozen=True)
class Piece:
    """What can't be divided: a file, with all of its hard links. ``weight`` is its bytes in an archive."""

    paths: Tuple[str, ...]
    weight: int


@dataclass
class Part:
    """What one layer holds; ``weight`` counts the entries of its folders too."""

    pieces: List[Piece] = field(default_factory=list)
    weight: int = 0
    folders: Set[str] = field(default_factory=set)

    def cost(self, piece: Piece) -> int:
        """By how much a piece would add to the weight."""
        return piece.weight + sum(entry(folder) for folder in _above(piece) if folder not in self.folders)

    def add(self, piece: Piece) -> None:
        """Take a piece."""
        self.weight += self.cost(piece)
        self.folders.update(_above(piece))
        self.pieces.append(piece)


def capacity(limit: int) -> int:
    """Give how many bytes of archive a layer of at most ``limit`` bytes takes, whatever they are.

    Data that can't be compressed grows by 3 bytes in 128 KiB as zstd, by 5 in 64 KiB as gzip; the rest is for the ends.
    """
    return limit - limit // 1024 - 16 * 1024


def entry(path: str) -> int:
    """Give the bytes of an archive that an entry without content has; a long path is there twice."""
    return _HEAD + 2 * len(os.fsencode(path))


def pieces(found: Difference) -> List[Piece]:
    """List what a difference consists of, in order of paths."""
    linked = {path: paths for paths in found.links for path in paths}
    made: Dict[Tuple[str, ...], Piece] = {}
    for path, size in found.files.items():
        paths = linked.get(path, (path,))
        content = -(-size // _UNIT) * _UNIT
        made[paths] = Piece(paths=paths, weight=content + sum(entry(one) for one in paths))
    return sorted(made.values(), key=lambda piece: piece.paths)


def share_out(found: Difference, room: int) -> List[Part]:
    """Share a difference out over parts of at most ``room`` bytes of archive.

    The first part has every new folder, and all that is removed. A piece that is larger than a part stands alone.
    """
    first = Part(folders=set(found.folders))
    first.weight = sum(entry(path) for path in (*found.folders, *found.removed))
    shared = [first]
    alone: List[Part] = []
    for piece in _in_turn(pieces(found), room):
        part = next((part for part in shared if part.weight + part.cost(piece) <= room), None)
        if part is None:
            part = Part()
            (alone if part.cost(piece) > room else shared).append(part)
        part.add(piece)
    return [*shared, *alone]


def _in_turn(every: Sequence[Piece], room: int) -> Iterator[Piece]:
    large = [piece for piece in every if piece.weight > room // _SMALL]
    yield from sorted(large, key=lambda piece: (-piece.weight, piece.paths))
    yield from (piece for piece in every if piece.weight <= room // _SMALL)


def _above(piece: Piece) -> Iterator[str]:
    for path in piece.paths:
        folder = os.path.dirname(path)
        while folder:
            yield folder
            folder = os.path.dirname(folder)
