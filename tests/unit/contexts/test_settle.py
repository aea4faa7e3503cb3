"""What a step wrote gets one time; what was there before keeps its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import load

settle = load("tools/settle.py")
LATER = 4e9


def times(folder: Path) -> dict[str, float]:
    found = {str(path.relative_to(folder)): path.lstat().st_mtime for path in folder.rglob("*")}
    return {**found, ".": folder.stat().st_mtime}


def test_all_that_is_new_or_changed_gets_the_time_and_nothing_else(tmp_path: Path) -> None:
    for name in ("kept/file", "changed/file", "emptied/file"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("old")
    old = settle.settle(str(tmp_path), 0, to=10**9)
    assert old == 7
    time.sleep(0.02)
    since = time.time()
    time.sleep(0.02)
    (tmp_path / "changed/file").write_text("new")
    (tmp_path / "emptied/file").unlink()
    (tmp_path / "new").mkdir()
    (tmp_path / "new/link").symlink_to("nowhere")
    (tmp_path / "new/kept").write_text("from an archive that keeps times")
    os.utime(tmp_path / "new/kept", (5, 5))
    assert settle.settle(str(tmp_path), since) == 5
    expected = dict.fromkeys((".", "changed/file", "emptied", "new", "new/link"), settle.EPOCH)
    others = dict.fromkeys(("kept", "kept/file", "changed"), 10**9)
    assert times(tmp_path) == {**expected, **others, "new/kept": 5}


def test_a_file_from_the_future_was_not_written_by_this_step(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("of the base")
    os.utime(file, (LATER, LATER))
    time.sleep(0.02)
    settle.settle(str(tmp_path), time.time())
    assert file.stat().st_mtime == LATER


def test_what_is_mounted_is_left_alone(tmp_path: Path) -> None:
    for name in ("cache/file", "bound"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not the image's")
    mounted = frozenset(os.fsencode(tmp_path / name) for name in ("cache", "bound"))
    assert settle.settle(str(tmp_path), 0, mounted=mounted) == 1


def test_places_of_mounts_are_read_with_their_blanks() -> None:
    text = b"21 1 0:20 / / rw - overlay overlay rw\n22 21 0:5 /x /with\\040blank ro,nosuid - tmpfs none rw\n"
    assert settle.mount_points(text) == {b"/with blank"}


def test_a_step_began_with_the_oldest_process_of_its_container() -> None:
    before = time.time()
    code = "import time, sys; print(time.time(), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        # It has our root, and so have our parents: whoever of these is oldest was there before this test.
        assert settle.began(child.pid) <= settle.began(os.getpid()) + 0.2 < before + 0.2
        child.communicate()


def test_a_process_elsewhere_is_no_part_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "_has_root", lambda _process, _root: False)
    before = time.time()
    with subprocess.Popen(["sleep", "60"]) as child:
        assert before - 0.3 < settle.began(child.pid) < time.time()
        child.kill()
