"""Looks for a value in files as they are and as they are after decompression, without holding them whole."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import zstandard

_PIECE = 4 * 1024 * 1024


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def holding(value: bytes, files: Iterable[tuple[str, Path]]) -> list[str]:
    """Names of the files that hold ``value``, plain or in a gzip or zstd stream (layers are such)."""
    return [name for name, path in files if _holds(path, value)]


def _holds(path: Path, value: bytes) -> bool:
    with path.open("rb") as plain:
        if _found(plain, value):
            return True
        plain.seek(0)
        start = plain.read(4)
        plain.seek(0)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(plain) as unpacked:
                return _found(unpacked, value)
        if start == b"\x28\xb5\x2f\xfd":
            with zstandard.ZstdDecompressor().stream_reader(plain, read_across_frames=True) as unpacked_zstd:
                return _found(unpacked_zstd, value)
    return False


def _found(stream: _Readable, value: bytes) -> bool:
    kept = b""
    while piece := stream.read(_PIECE):
        if value in kept + piece:
            return True
        kept = piece[-len(value) :]
    return False
