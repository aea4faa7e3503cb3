"""Files with device code, as the compilers lay them out."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

FLAGS = {"a": 0x100000, "f": 0x200000}
KINDS = {"sass": 2, "ptx": 1, "other": 8}


def piece(kind: str, target: str, payload: bytes) -> bytes:
    """One piece of device code: "sass", "90a"."""
    head = bytearray(64)
    struct.pack_into("<HHIQ", head, 0, KINDS[kind], 0x101, len(head), len(payload))
    struct.pack_into("<I", head, 28, int(target.rstrip("af")))
    struct.pack_into("<Q", head, 40, 0x11 | FLAGS.get(target[-1], 0))
    return bytes(head) + payload


def fatbin(*pieces: bytes) -> bytes:
    """One fat binary."""
    body = b"".join(pieces)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def elf(sections: dict[str, bytes]) -> bytes:
    """A 64-bit ELF file with no more than a header and named sections."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    body, rows, place = b"", [bytes(64)], 64
    for name, content in (*sections.items(), (".shstrtab", names)):
        offset = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(struct.pack("<IIQQQQIIQQ", offset, 1, 0, 0, place, len(content), 0, 0, 1, 0))
        body, place = body + content, place + len(content)
    head = bytearray(64)
    head[:7] = b"\x7fELF\x02\x01\x01"
    struct.pack_into("<Q", head, 40, place)
    struct.pack_into("<HHH", head, 58, 64, len(rows), len(rows) - 1)
    return bytes(head) + body + b"".join(rows)


class Library:
    """Writes files, and the pieces that they are made of."""

    piece, fatbin, elf = staticmethod(piece), staticmethod(fatbin), staticmethod(elf)

    @staticmethod
    def write(path: Path, sass: str = "", ptx: str = "", section: str = ".nv_fatbin") -> Path:
        """A library with machine code and PTX for some targets, as in "90a 120"; none: without device code."""
        pieces = [piece("sass", target, b"\1" * 24) for target in sass.split()]
        pieces += [piece("ptx", target, b"\2" * 8) for target in ptx.split()]
        path.parent.mkdir(parents=True, exist_ok=True)
        sections = {".text": b"code"}
        path.write_bytes(elf({**sections, section: fatbin(*pieces)} if pieces else sections))
        return path


@pytest.fixture
def library() -> type[Library]:
    """Writes files with device code."""
    return Library
