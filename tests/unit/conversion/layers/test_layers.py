"""The difference between two real file trees, shared out over parts and placed: the trees are the same then."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.failures import ConversionError
from conversion.layers import assign, copy_layer, packing
from conversion.layers.trees import Difference, compare

KIB = 1 << 10


def seen(top: Path) -> dict[str, tuple[Any, ...]]:
    """Everything that a layer keeps of a tree."""
    found = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.lstat()
        content: Any = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        links = sorted(str(other.relative_to(top)) for other in top.rglob("*") if other.lstat().st_ino == status.st_ino)
        kept = stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns
        found[str(path.relative_to(top))] = (*kept, content, links)
    return found


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Two trees; the second has of the first what is the same, and one change of each kind."""
    old, new = tmp_path / "old", tmp_path / "new"
    for top in (old, new):
        for folder in ("same", "gone/deep", "was-folder", "changed"):
            (top / folder).mkdir(parents=True)
        for name in ("same/file", "gone/deep/file", "was-folder/file", "was-file", "changed/text", "changed/mode"):
            (top / name).write_text(name)
        (top / "changed/link").symlink_to("text")
        os.link(top / "same/file", top / "same/linked")
    for path in sorted(old.rglob("*"), reverse=True):  # what is the same has the same times
        status = path.lstat()
        os.utime(new / path.relative_to(old), ns=(status.st_mtime_ns,) * 2, follow_symlinks=False)
    for path in (new / "gone/deep/file", new / "was-folder/file", new / "was-file", new / "changed/link"):
        path.unlink()
    for folder in ("gone/deep", "gone", "was-folder"):
        (new / folder).rmdir()
    (new / "was-folder").write_text("a file")
    (new / "was-file").mkdir(mode=0o750)
    (new / "was-file/new").write_bytes(os.urandom(3000))
    (new / "changed/text").write_text("CHANGED/TEXT"[::-1])
    (new / "changed/mode").chmod(0o4751)
    (new / "changed/link").symlink_to("mode")
    (new / "empty").mkdir()
    os.mkfifo(new / "pipe")
    (new / "one\udcff").write_bytes(b"1" * 9000)
    os.link(new / "one\udcff", new / "empty/two")
    os.utime(new / "changed", ns=(1, 1_500_000_000_123_456_789))
    os.utime(new / "same", ns=(1, (old / "same").stat().st_mtime_ns))
    return old, new


def test_what_differs_and_nothing_else_is_found(trees: tuple[Path, Path]) -> None:
    found = compare(str(trees[0]), str(trees[1]))
    assert found.removed == ["gone", "was-file", "was-folder"]
    assert found.folders == ["", "changed", "empty", "was-file"]
    assert sorted(found.files) == [
        "changed/link",
        "changed/mode",
        "changed/text",
        "empty/two",
        "one\udcff",
        "pipe",
        "was-file/new",
        "was-folder",
    ]
    assert found.links == [("empty/two", "one\udcff")]


def test_a_tree_differs_in_nothing_from_itself(trees: tuple[Path, Path]) -> None:
    assert compare(str(trees[1]), str(trees[1])) == Difference()


def test_files_that_become_one_are_placed_as_one(trees: tuple[Path, Path]) -> None:
    old, new = trees
    (new / "same/linked").unlink()
    os.link(new / "same/file", new / "same/third")
    assert compare(str(old), str(new)).links == [("empty/two", "one\udcff"), ("same/file", "same/third")]


@pytest.mark.parametrize("kernel_copies", [True, False])
def test_all_parts_together_make_the_new_tree(
    trees: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_copies: bool
) -> None:
    if not kernel_copies:
        monkeypatch.setattr(os, "copy_file_range", lambda *_: (_ for _ in ()).throw(OSError(18, "EXDEV")))
    old, new = map(str, trees)
    out = str(tmp_path / "out/parts.json")
    room = share_in(16 * KIB, monkeypatch)
    assert assign.main(["--old", old, "--new", new, "--limit-mib", "1", "--parts", "9", "--out", out]) == 0
    count = len(json.loads(Path(out).read_text())["parts"])
    assert count > 1
    assert count == len(packing.share_out(compare(old, new), room))
    for number in range(1, count + 2):
        assert copy_layer.main(["--parts", out, "--from", new, "--part", str(number), "--to", old]) == 0
    assert seen(trees[0]) == seen(trees[1])


def share_in(room: int, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(assign, "capacity", lambda _limit: room)
    return room


def test_too_few_planned_parts_are_refused_with_the_number(
    trees: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_in(16 * KIB, monkeypatch)
    arguments = ["--old", str(trees[0]), "--new", str(trees[1]), "--out", str(tmp_path / "x")]
    with pytest.raises(
        ConversionError, match=r"needs (\d+) layers of at most 1 MiB, and 1 are planned: write installed"
    ):
        assign.main([*arguments, "--limit-mib", "1", "--parts", "1"])


def with_one_file(folder: Path, content: bytes) -> list[str]:
    (folder / "old").mkdir()
    (folder / "new/lib").mkdir(parents=True)
    (folder / "new/lib/huge.so").write_bytes(content)
    arguments = ["--old", str(folder / "old"), "--new", str(folder / "new"), "--out", str(folder / "x")]
    return [*arguments, "--limit-mib", "1", "--parts", "3"]


def test_a_file_that_no_compression_gets_below_the_limit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"/lib/huge\.so is too large for a layer of 1 MiB: it has 2 MiB"):
        assign.main(with_one_file(tmp_path, os.urandom(2 * packing.MIB)))


def test_a_large_file_that_compression_gets_below_the_limit_has_a_layer_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assign.main(with_one_file(tmp_path, bytes(2 * packing.MIB))) == 0
    assert "/lib/huge.so has 2.0 MiB and a layer of its own" in capsys.readouterr().out
    assert json.loads((tmp_path / "x").read_text())["parts"] == [[], [["lib/huge.so"]]]


NAMES = st.text("abc/", min_size=1, max_size=12).filter(lambda name: "//" not in name and name.strip("/") == name)


@given(st.dictionaries(NAMES, st.integers(0, 300 * KIB), max_size=60), st.integers(24 * KIB, 512 * KIB))
def test_no_part_is_larger_than_its_archive_may_be_and_no_file_is_lost(sizes: dict[str, int], room: int) -> None:
    found = Difference(files=dict(sorted(sizes.items())))
    shared = packing.share_out(found, room)
    assert sorted(path for part in shared for piece in part.pieces for path in piece.paths) == sorted(sizes)
    for part in shared:
        assert part.weight <= room or len(part.pieces) == 1
        # What a part is said to weigh is what an archive of it really has, with times that need PAX headers.
        names = [path for piece in part.pieces for path in piece.paths]
        assert archived([(name, sizes[name]) for name in names], part.folders) <= part.weight
    again = packing.share_out(Difference(files=dict(sorted(sizes.items(), reverse=True))), room)
    assert [part.pieces for part in again] == [part.pieces for part in shared]


def archived(files: list[tuple[str, int]], folders: set[str]) -> int:
    total = 0
    for name, size in [*files, *((folder, 0) for folder in folders)]:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = size, 1_700_000_000.123456789
        total += len(entry.tobuf(tarfile.PAX_FORMAT)) + -(-size // 512) * 512
    return total


@given(st.lists(st.integers(1, 40 * KIB), min_size=40, max_size=120))
def test_parts_are_filled(sizes: list[int]) -> None:
    room = 64 * KIB
    found = Difference(files={f"d/{number:03d}": size for number, size in enumerate(sizes)})
    shared = packing.share_out(found, room)
    # First-fit by falling size needs at most 11/9 of the least number of bins, and one.
    least = -(-sum(piece.weight for piece in packing.pieces(found)) // room)
    assert len(shared) <= least * 11 / 9 * 1.2 + 1


def test_the_scripts_run_as_the_build_runs_them(trees: tuple[Path, Path], tmp_path: Path) -> None:
    top = Path(__file__).parents[4]
    for module in ("assign", "copy_layer"):
        done = subprocess.run(
            [sys.executable, "-B", "-S", "-m", f"conversion.layers.{module}", "--help"],
            env={"PYTHONPATH": str(top)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    (tmp_path / "p.json").write_text('{"removed": ["not-there"], "folders": [], "parts": []}')
    arguments = ["--parts", str(tmp_path / "p.json"), "--from", str(trees[1]), "--part", "1", "--to", str(trees[0])]
    with pytest.raises(ConversionError, match=r"part 1 can't be placed: .*not-there"):
        copy_layer.main(arguments)
