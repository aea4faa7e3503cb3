"""Which device code a compiled file holds: its ELF section headers and fat binaries, read with Python alone.

No program is run on the file, which may be anybody's, and of its device code only the headers are read. cuobjdump of
CUDA 13 is no help here: it gives up at code for sm_35 or sm_37 ("has been removed"), which frozen wheels hold, as of
TensorFlow 2.11.1 and torch 2.0.1, and takes 14 s for torch 2.11.0's libtorch_cuda.so, where this takes 0.2 s.

The format of a fat binary is not documented. As fatbinary 13.0 writes it and cuobjdump 13.5 reads it: a header (magic
50 ed 55 ba, version, its own size, size of what follows), then the pieces, each with a header of its own: kind (1 PTX,
2 machine code); size of the header; size of the piece; compute capability at byte 28; flags at byte 40.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from typing import Dict, Iterator, NamedTuple, Optional, Set, Tuple

from conversion.failures import ConversionError

# As cuobjdump does: what was linked counts, what would be linked yet only where nothing was.
SECTIONS = (".nv_fatbin", "__nv_relfatbin")
_MAGIC = 0xBA55ED50
_PTX, _SASS = 1, 2
_SPECIFIC, _FAMILY = 0x100000, 0x200000  # flags of sm_90a, sm_120f
_HEADER, _ENTRY, _PIECE = struct.Struct("<IHHQ"), struct.Struct("<HHIQ"), 64
_ELF, _ELF_HEADER, _SECTION = b"\x7fELF\x02\x01", 64, struct.Struct("<IIQQQQ")
_GAP = 1 << 16  # bytes between two fat binaries; linkers leave up to a page
_NAME = 64  # bytes; none that matters here is longer


class DeviceCode(NamedTuple):
    """What a file holds code for, as in {"90", "90a", "120"}: machine code (SASS), and PTX."""

    sass: Set[str]
    ptx: Set[str]

    def __bool__(self) -> bool:
        return bool(self.sass or self.ptx)


def device_code(path: str) -> DeviceCode:
    """The device code of a file; none where it is no 64-bit ELF file, or has no section of it.

    Raises:
        ConversionError: the file can't be read, or what it says of its device code is wrong.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConversionError(f"{path} can't be read: {error.strerror or error}") from error
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size < _ELF_HEADER or file.read(len(_ELF)) != _ELF:
            return DeviceCode(set(), set())
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _read(data)
            except (struct.error, ValueError, OverflowError) as error:
                raise ConversionError(f"{path}: its device code can't be read: {error}") from error


def _read(data: mmap.mmap) -> DeviceCode:
    places = _sections(data)
    for name in SECTIONS:
        code = DeviceCode(set(), set())
        for kind, target in _pieces(data, *places[name]) if name in places else ():
            {_SASS: code.sass, _PTX: code.ptx}.get(kind, set()).add(target)
        if code:
            return code
    return DeviceCode(set(), set())


def _sections(data: mmap.mmap) -> Dict[str, Tuple[int, int]]:
    """Where the sections of device code lie: name → start and end in the file."""
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    if not table or names >= count or size < _SECTION.size:
        return {}
    start = _SECTION.unpack_from(data, table + names * size)[4]
    places: Dict[str, Tuple[int, int]] = {}
    for number in range(count):
        name, _, _, _, offset, length = _SECTION.unpack_from(data, table + number * size)
        text = data[start + name : start + name + _NAME].partition(b"\0")[0].decode("ascii", "replace")
        if text in SECTIONS:
            if offset + length > len(data):
                raise ValueError(f"section {text} ends behind the file's end")
            places[text] = offset, offset + length
    return places


def _pieces(data: mmap.mmap, start: int, end: int) -> Iterator[Tuple[int, str]]:
    """Kind and target of each piece of device code; fat binaries lie one after another, with zeros between them."""
    last = start
    while start + _HEADER.size <= end:
        magic, _, header, size = _HEADER.unpack_from(data, start)
        if magic == 0 and start - last < _GAP:
            start += 8
            continue
        if magic != _MAGIC or header < _HEADER.size or start + header + size > end:
            raise ValueError(f"no fat binary at byte {start}")
        place, start = start + header, start + header + size
        last = start
        while place + _PIECE <= start:
            kind, _, header, size = _ENTRY.unpack_from(data, place)
            if header < _PIECE or place + header + size > start:
                raise ValueError(f"no piece of a fat binary at byte {place}")
            target = _target(data, place)
            if target is not None:
                yield kind, target
            place += header + size


def _target(data: mmap.mmap, place: int) -> Optional[str]:
    (number,) = struct.unpack_from("<I", data, place + 28)
    (flags,) = struct.unpack_from("<Q", data, place + 40)
    if not number:
        return None
    return f"{number}{'a' if flags & _SPECIFIC else 'f' if flags & _FAMILY else ''}"
