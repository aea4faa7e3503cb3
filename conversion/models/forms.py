"""What form a checkpoint's file has, by its bytes alone: nothing of it is unpickled, and torch isn't needed.

Forms: torch's archives and its older format, plain pickles, scripted modules; each also compressed by gzip.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickletools
import stat
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

from conversion.failures import ConversionError

_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 24
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's older format (torch/serialization.py)


@dataclass(frozen=True)
class Form:
    """How a file is written.

    Attributes:
        kind: "archive", "legacy", "pickle" or "script".
        compressed: whether gzip is around it.
        protocol: of its pickle.
    """

    kind: str
    compressed: bool
    protocol: int


@dataclass(frozen=True)
class File:
    """A file's content, decompressed, and its form."""

    content: bytes
    form: Form


def read(path: str) -> File:
    """Read a file.

    Raises:
        ConversionError: it is no regular file, or no checkpoint; the text says so.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConversionError("is no regular file")
        with open(path, "rb") as file:
            return of_bytes(file.read())
    except OSError as error:
        raise ConversionError(f"can't be read: {error.strerror or error}") from error


def of_bytes(content: bytes) -> File:
    """What a file of these bytes is.

    Raises:
        ConversionError: it is no checkpoint; the text says so.
    """
    compressed = content.startswith(_GZIP)
    if compressed:
        try:
            content = _decompressed(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ConversionError(f"is cut short or damaged: its gzip stream has no end ({error})") from error
    if not content:
        raise ConversionError("is empty")
    return File(content, _form(content, compressed))


def _decompressed(content: bytes) -> bytes:
    room = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    parts: List[bytes] = []
    size = 0
    with gzip.open(io.BytesIO(content)) as stream:
        while True:
            part = stream.read(_BLOCK)
            if not part:
                return b"".join(parts)
            size += len(part)
            if size > room:
                raise ConversionError(f"needs more memory than there is: its gzip stream holds over {size} bytes")
            parts.append(part)


def _form(content: bytes, compressed: bool) -> Form:
    if content[:4] == b"PK\x03\x04":
        kind, protocol = _archive(content)
        return Form(kind, compressed, protocol)
    if content[:1] == b"\x80" and len(content) > 1:
        first = _first_value(content)
        return Form("legacy" if first == _LEGACY_MAGIC else "pickle", protocol=content[1], compressed=compressed)
    if is_tar(content):
        return Form("legacy", compressed, 2)
    if content[:1] in b"()]}cN" and content.rstrip().endswith(b"."):  # a pickle of protocol 0 or 1
        return Form("pickle", compressed, 0)
    raise ConversionError("is no checkpoint: neither an archive of torch nor a pickle")


def is_tar(content: bytes) -> bool:
    """Whether it is of torch's oldest format."""
    return content[257:262] == b"ustar"


def _archive(content: bytes) -> Tuple[str, int]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("/data.pkl")]
            if any(name.endswith("/constants.pkl") for name in names):
                return "script", 2
            if not pickles:
                raise ConversionError("is a zip archive without a data.pkl, which torch did not write")
            with archive.open(pickles[0]) as opened:
                return "archive", opened.read(2)[1]
    except ConversionError:
        raise
    except Exception as error:  # zipfile has a dozen kinds of errors for damaged archives
        raise ConversionError(f"is cut short or damaged: {error}") from error


def _first_value(content: bytes) -> Optional[Any]:
    with contextlib.suppress(Exception):
        for opcode, argument, _ in pickletools.genops(content[:64]):
            if opcode.name in ("LONG1", "LONG4"):
                return argument
    return None
