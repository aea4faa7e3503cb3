"""Device code as files hold it.

What `test_pieces_as_fatbinary_writes_them` reads was written by fatbinary 13.0.88, the rest by these tests; that the
reader and cuobjdump agree on real libraries (torch 2.11.0, 444 pieces for sm_120 and so on) was measured by hand.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversion.failures import ConversionError
from conversion.verify.fatbin import device_code

# Headers of pieces: size of the payload, and all bytes of the header.
SASS_90A = (
    3432,
    "0200010140000000680d00000000000000000000000000000800" + "01005a" + "00" * 11 + "1100" + "10" + "00" * 21,
)
SASS_120F = (
    4888,
    (
        "02000101700000001813000000000000000000004000000008000100780000000000000000000000110020010000000000000000000000"
        "000000000000000000480000002400000000020900000202010002050500030701010203000002060100040b08005000000000000000000000"
    ),
)
PTX_120F = (
    88,
    (
        "01000101500000005800000000000000540000004000000000000900780000000000000000000000118020000000000000000000000000"
        "004b0000000000000048000000000000000000000000000000"
    ),
)


def read(path: Path, content: bytes) -> tuple[set[str], set[str]]:
    path.write_bytes(content)
    return tuple(device_code(str(path)))  # type: ignore[return-value]


def test_pieces_as_fatbinary_writes_them(tmp_path: Path, library: Any) -> None:
    pieces = [bytes.fromhex(header) + bytes(size) for size, header in (SASS_90A, SASS_120F, PTX_120F)]
    section = library.fatbin(*pieces)
    assert read(tmp_path / "x.so", library.elf({".nv_fatbin": section})) == ({"90a", "120f"}, {"120f"})


def test_several_fat_binaries_with_zeros_between_them(tmp_path: Path, library: Any) -> None:
    first = library.fatbin(library.piece("sass", "80", b"x" * 40), library.piece("ptx", "80", b"y" * 8))
    second = library.fatbin(library.piece("sass", "120", b""))
    content = library.elf({".text": b"c" * 9, ".nv_fatbin": first + bytes(16) + second + bytes(8)})
    assert read(tmp_path / "x.so", content) == ({"80", "120"}, {"80"})


def test_what_was_linked_counts_and_else_what_would_be(tmp_path: Path, library: Any) -> None:
    linked, other = (library.fatbin(library.piece("sass", target, b"")) for target in ("90", "80"))
    both = {"__nv_relfatbin": other, ".nv_fatbin": linked}
    assert read(tmp_path / "x.so", library.elf(both))[0] == {"90"}
    assert read(tmp_path / "x.so", library.elf({"__nv_relfatbin": other}))[0] == {"80"}
    only_lto = library.fatbin(library.piece("other", "90", b""))
    assert not device_code(str(library.write(tmp_path / "y.so")))
    assert read(tmp_path / "x.so", library.elf({".nv_fatbin": only_lto})) == (set(), set())


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"INPUT(libx.so.1)\n" * 9, b"\x7fELF\x01\x01" + bytes(80), bytes(64)]
)
def test_what_is_no_such_file_holds_none(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path / "x.so", content) == (set(), set())


def test_what_cannot_be_read_is_said(tmp_path: Path, library: Any) -> None:
    with pytest.raises(ConversionError, match=r"absent\.so can't be read: No such file"):
        device_code(str(tmp_path / "absent.so"))
    whole = library.fatbin(library.piece("sass", "90", b"x" * 64))
    with pytest.raises(ConversionError, match="no fat binary at byte"):
        read(tmp_path / "x.so", library.elf({".nv_fatbin": b"\1" * 64}))
    with pytest.raises(ConversionError, match="no fat binary at byte"):
        read(tmp_path / "x.so", library.elf({".nv_fatbin": whole[:-8]}))
    with pytest.raises(ConversionError, match="its device code can't be read"):
        read(tmp_path / "x.so", library.elf({".nv_fatbin": whole})[:200])
    loop = bytearray(library.fatbin(library.piece("sass", "90", b"x" * 64)))
    loop[20:24] = bytes(4)  # a piece whose header has no size: reading on from it would never end
    with pytest.raises(ConversionError, match="no piece of a fat binary at byte"):
        read(tmp_path / "x.so", library.elf({".nv_fatbin": bytes(loop)}))


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.so")
    assert not device_code(str(tmp_path / "x.so"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_any_damage_ends_in_an_answer_or_a_message(tmp_path: Path, library: Any, data: st.DataObject) -> None:
    pieces = [library.piece("sass", target, b"x" * 16) for target in ("80", "90a")]
    content = bytearray(library.elf({".nv_fatbin": library.fatbin(*pieces), ".nv_other": b"x"}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(6, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(tmp_path / "x.so", bytes(content))
    except ConversionError as error:
        assert "x.so" in str(error)  # noqa: PT017  no error is right too
