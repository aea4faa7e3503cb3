"""Patching a tree of source."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from conversion.failures import SpecError
from conversion.patch.scan import real_roots
from conversion.patch.write import patch

BARE = b"import torch\nx = torch.load(f)\n"
DONE = b"import torch\nx = torch.load(f, weights_only=False)\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "a.py").write_bytes(BARE)
    (root / "done.py").write_bytes(DONE)
    (root / "python2.py").write_bytes(b"print 'torch.load(f)'\n")
    (root / "script").write_bytes(b"#!/usr/bin/env python3\n" + BARE)
    (root / "notes.txt").write_bytes(BARE)
    (root / "data").write_bytes(b"\x00\xff torch.load(f)")
    (root / "open.py").write_bytes(b"import torch\nx = torch.load(f, **k)\n")
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_only_changed_files_are_written_and_the_source_stays(tree: Path, tmp_path: Path) -> None:
    before = contents(tree)
    report = patch([str(tree)], tmp_path / "out")
    assert contents(tree) == before
    written = {
        path.removeprefix(str(tmp_path / "out")): content for path, content in contents(tmp_path / "out").items()
    }
    assert written == {f"{tree}/deep/er/a.py": DONE, f"{tree}/script": b"#!/usr/bin/env python3\n" + DONE}
    first = report["changed"][0]
    assert first["file"] == f"{tree}/deep/er/a.py"
    assert first["sha256"] == hashlib.sha256(DONE).hexdigest()
    assert first["edits"] == [
        {"line": 2, "column": 5, "before": "x = torch.load(f)", "after": "x = torch.load(f, weights_only=False)"}
    ]
    assert report["counts"] == {
        "calls_changed": 2,
        "places_undecided": 2,
        "of_them_bare": 0,
        "files_changed": 2,
        "files_skipped": 1,
        "other_files": 0,
    }
    assert [item["file"] for item in report["skipped"]] == [f"{tree}/python2.py"]
    assert [(item["file"], item["line"]) for item in report["undecided"]] == [
        (f"{tree}/open.py", 2),
        (f"{tree}/python2.py", 1),
    ]


def test_mode_and_owner_are_kept_also_of_the_folders_and_of_read_only_files(tree: Path, tmp_path: Path) -> None:
    file = tree / "deep" / "er" / "a.py"
    file.chmod(0o4550)
    (tree / "deep").chmod(0o700)
    if os.geteuid() == 0:
        os.chown(file, 1234, 2345)
        file.chmod(0o4550)
    patch([str(tree)], tmp_path / "out")
    written = tmp_path / "out" / str(file).lstrip("/")
    assert stat.S_IMODE(written.stat().st_mode) == 0o4550
    assert (written.stat().st_uid, written.stat().st_gid) == (file.stat().st_uid, file.stat().st_gid)
    assert written.stat().st_mtime_ns == file.stat().st_mtime_ns
    assert written.parent.stat().st_mtime_ns == file.parent.stat().st_mtime_ns
    assert stat.S_IMODE((tmp_path / "out" / str(tree / "deep").lstrip("/")).stat().st_mode) == 0o700


def test_links(tree: Path, tmp_path: Path) -> None:
    (tree / "inner.py").symlink_to(tree / "deep" / "er" / "a.py")
    outside = tmp_path / "outside.py"
    outside.write_bytes(BARE)
    (tree / "outer.py").symlink_to(outside)
    (tree / "dangling.py").symlink_to("nowhere.py")
    (tree / "loop").symlink_to(tree)
    report = patch([str(tree)], tmp_path / "out")
    assert len(report["changed"]) == 2
    assert not (tmp_path / "out" / str(tree / "inner.py").lstrip("/")).exists()
    reasons = {item["file"]: item["reason"] for item in report["skipped"]}
    assert "below no root" in reasons[f"{tree}/outer.py"]


def test_a_root_that_is_a_link_is_patched_where_it_is(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    report = patch([str(tmp_path / "link"), str(tree)], tmp_path / "out")
    assert report["roots"] == [str(tree)]
    assert len(report["changed"]) == 2


def test_a_root_may_be_one_file(tree: Path, tmp_path: Path) -> None:
    assert len(patch([str(tree / "script")], tmp_path / "out")["changed"]) == 1


def test_an_absent_root_is_named() -> None:
    with pytest.raises(SpecError, match="no such folder to patch: /nowhere"):
        real_roots(["/nowhere", "/"])


def test_the_command_line(tree: Path, tmp_path: Path) -> None:
    report = tmp_path / "r" / "report.json"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "conversion.patch",
        "--root",
        tree,
        "--codemod",
        "torch-load",
        "--out",
        tmp_path / "out",
        "--report",
        report,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert json.loads(report.read_text())["files"] == 5
    assert "2 calls changed in 2 files, 2 places undecided, 1 files left" in done.stdout
    assert "5 Python files and 0 others looked at" in done.stdout
    command[command.index(tree)] = "/nowhere"
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (2, "conversion: no such folder to patch: /nowhere\n")
