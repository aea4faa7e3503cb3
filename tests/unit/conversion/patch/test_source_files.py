"""What a tree may hold that is no plain Python file: each is looked through or named, and nothing hangs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conversion.patch import source_files
from conversion.patch.scan import scan
from conversion.patch.torch_load import transform
from conversion.patch.write import patch
from conversion.verify.patched_source import root_rows

BARE = b"import torch\nx = torch.load(f)\n"


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 60


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.py").write_bytes(BARE)
    return folder


def skipped(root: Path) -> dict[str, str]:
    return {item.file.removeprefix(f"{root}/"): item.skipped for item in scan([str(root.resolve())]) if item.skipped}


def places(root: Path) -> list[tuple[str, int]]:
    found = scan([str(root.resolve())])
    return [(item.file.removeprefix(f"{root}/"), place.line) for item in found for place in item.undecided]


def test_fifos_sockets_and_devices_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "fifo.py")
    os.mkfifo(root / "script")
    (root / "null.py").symlink_to("/dev/null")
    (root / "zero.py").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as opened:
        monkeypatch.chdir(root)  # a socket's path is short
        opened.bind("s.py")
    assert skipped(root) == {
        "fifo.py": "a FIFO",
        "script": "a FIFO",
        "null.py": "a device",
        "zero.py": "a device",
        "s.py": "a socket",
    }


def test_links_out_of_the_roots_are_named(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.py").write_bytes(BARE)
    (outside / "plain.py").write_bytes(b"x = 1\n")
    (outside / "open.py").write_bytes(b"import torch\nx = torch.load(f, **k)\n")
    (outside / "broken.py").write_bytes(b"x = (\n")
    (root / "folder").symlink_to(outside)
    for name in ("b.py", "plain.py", "open.py", "broken.py"):
        (root / name).symlink_to(outside / name)
    (root / "nowhere.py").symlink_to("absent.py")
    (root / "round").symlink_to(root)
    (root / "again.py").symlink_to(root / "a.py")
    found = skipped(root)
    assert sorted(found) == ["b.py", "broken.py", "folder", "nowhere.py", "open.py"]
    assert found["folder"] == f"a link to the folder {outside}, which is below no root"
    assert f"a link to {outside}/b.py, which is below no root and has 1 calls to change" in found["b.py"]
    assert "1 undecided places" in found["open.py"]
    assert "can't be read as Python" in found["broken.py"]
    assert "a link to absent.py that can't be read" in found["nowhere.py"]


def test_a_link_into_another_root_is_none_out_of_the_roots(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.py").write_bytes(BARE)
    (root / "folder").symlink_to(other)
    (root / "b.py").symlink_to(other / "b.py")
    report = patch([str(root), str(other)], tmp_path / "out")
    assert report["skipped"] == []
    assert [entry["file"] for entry in report["changed"]] == [f"{other}/b.py", f"{root}/a.py"]
    rows = list(root_rows([str(root), str(other)]))
    assert [row.subject for row in rows] == [f"{other}/b.py:2", str(other), f"{root}/a.py:2", str(root)]


def test_a_file_that_can_not_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: str, mode: str = "r") -> object:
        if str(path) == str(root / "a.py"):
            raise PermissionError(13, "Permission denied", str(path))
        return Path(path).open(mode)

    monkeypatch.setattr(source_files, "open", refusing, raising=False)
    assert set(skipped(root)) == {"a.py"}


def test_a_folder_that_can_not_be_listed_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shut = root / "shut"
    shut.mkdir()
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path) == str(shut):
            raise PermissionError(13, "Permission denied", str(shut))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert skipped(root) == {"shut": "a folder that can't be read: Permission denied"}


def test_folders_deeper_than_a_path_is_long(root: Path) -> None:
    """Up to where the system opens a path by its name; what is below is named."""
    with_file = "d/" * 1500
    subprocess.run(["sh", "-c", f"mkdir -p {with_file} && cp a.py {with_file}"], cwd=root, check=True)
    deeper = 'for turn in 1 2 3; do mkdir -p "$0" && cd "$0" || exit; done'
    subprocess.run(["sh", "-c", deeper, with_file], cwd=root, check=False)  # a shell may refuse at some depth
    try:
        found = scan([str(root)])
        assert [item.file for item in found if item.python] == [f"{root}/a.py", f"{root}/{with_file}a.py"]
        assert any("File name too long" in str(item.skipped) for item in found)
    finally:
        subprocess.run(["rm", "-rf", root / "d"], check=True)


def test_other_files_are_looked_through(root: Path) -> None:
    cell = {"cell_type": "code", "source": ["import torch\n", "x = torch.load('f')\n"]}
    (root / "a.ipynb").write_text(json.dumps({"cells": [cell]}, indent=1))
    (root / "b.pyx").write_text("import torch as th\ncdef object g(f):\n    return th.load(f)\n")
    (root / "c.sh").write_text("#!/bin/sh\npython3 - <<EOF\nfrom torch import load\nload('f')\nEOF\n")
    (root / "d").write_text("#!/bin/bash\npython -c \"import torch; torch . load('f')\"\n")
    (root / "e.yaml").write_text("call: torch.serialization.load\n")
    (root / "Makefile").write_text("all:\n\ttrue\n")
    (root / "notes.md").write_text("torch.load(f)\n")
    (root / "data.bin").write_bytes(b"\0torch.load(f)")
    assert places(root) == [("a.ipynb", 7), ("b.pyx", 3), ("c.sh", 3), ("d", 2), ("e.yaml", 1)]
    assert skipped(root) == {}


def test_archives_and_compiled_files_are_named(root: Path) -> None:
    with zipfile.ZipFile(root / "lib.egg", "w") as archive:
        archive.writestr("lib/a.py", BARE)
    with zipfile.ZipFile(root / "data.zip", "w") as archive:
        archive.writestr("data.csv", "1")
    (root / "broken.zip").write_bytes(b"PK")
    (root / "lonely.pyc").write_bytes(b"\0")
    (root / "a.pyc").write_bytes(b"\0")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "b.pyc").write_bytes(b"\0")
    assert set(skipped(root)) == {"lib.egg", "lonely.pyc"}


def test_what_is_too_large_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "LARGEST", 100)
    (root / "b.py").write_bytes(BARE * 50)
    (root / "c.sh").write_bytes(b"#" * 101 + b"torch")
    (root / "data.xml").write_bytes(b"#" * 101)
    (root / "d.bin").write_bytes(b"\0" * 101)
    assert skipped(root) == {"b.py": "larger than 100 bytes", "c.sh": "larger than 100 bytes"}


def test_a_sparse_file_of_a_terabyte_is_named_at_once(root: Path) -> None:
    with (root / "b.py").open("wb") as opened:
        opened.truncate(1 << 40)
    assert "larger than" in skipped(root)["b.py"]


@pytest.mark.parametrize("name", ["umläut.py", "line\nbreak.py", "\udcff.py", "-x.py"])
def test_file_names_of_all_kinds(root: Path, name: str) -> None:
    (root / "a.py").rename(root / name)
    assert [item.file for item in scan([str(root)])] == [f"{root}/{name}"]


def chain(length: int) -> bytes:
    turns = "".join(f"elif a == {number}: x = torch.load(f)\n" for number in range(length))
    return f"import torch\nif a: pass\n{turns}".encode()


def test_long_chains_are_changed() -> None:
    assert len(transform(chain(400)).edits) == 400
    longer = transform(chain(1500))
    assert len(longer.edits) == 1500 or "too deeply nested" in str(longer.error)  # Python 3.12's parser is shallow


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 5000 + "torch.load(f)" + ")" * 5000,
        "x = " + "[" * 5000 + "torch.load(f)" + "]" * 5000,
        "x = " + "-" * 100_000 + "torch.load(f)",
        "x = torch.load(f)" + ".a" * 200_000,
        "x = torch.load(f)" + "+ a" * 200_000,
        "x = torch.load(f)" + "()" * 100_000,
        "x = " + "lambda: " * 20_000 + "torch.load(f)",
        "".join(" " * depth + "if a:\n" for depth in range(200)) + " " * 200 + "torch.load(f)",
        "".join(f"a{number} = a{number + 1}\n" for number in range(3000)) + "a3000 = torch\na0.load(f)",
    ],
    ids=["parentheses", "brackets", "signs", "attributes", "sums", "calls", "lambdas", "indents", "names"],
)
def test_depth_is_changed_or_named(source: str) -> None:
    result = transform(f"import torch\n{source}\n".encode())
    assert result.edits or result.error or result.undecided


def test_many_calls_take_no_square_of_their_time() -> None:
    assert len(transform(b"import torch\n" + "a = torch.load('ä'); ".encode() * 3000).edits) == 3000
    assert len(transform(b"import torch\n" + b"a = torch.load(f)\n" * 3000).edits) == 3000
    texts = b"import torch\n" + b"x = '" + b"torch.load(" * 50_000 + b"'\n"
    assert len(transform(texts).undecided) == 1


def test_a_report_shows_no_endless_line() -> None:
    (edit,) = transform(b"import torch\nx = torch.load(f)" + b" " * 10_000 + b"+ 1\n").edits
    assert len(edit.before) < 400


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7"])
def test_odd_encodings_are_named(root: Path, encoding: str) -> None:
    (root / "a.py").write_bytes("import torch\nx = 'ä', torch.load(f)\n".encode(encoding))
    assert ("a.py" in skipped(root)) or places(root) or encoding == "utf-7"


def test_the_recursion_limit_stays() -> None:
    limit = sys.getrecursionlimit()
    transform(chain(400))
    assert sys.getrecursionlimit() == limit
