"""One command at a time in a build folder, and nothing left of those that were killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath

import pytest

from bake.errors import UsageError
from generator.job import held
from generator.render import write_folder
from generator.render.write import MARKER

HOLDER = """\
import sys
from pathlib import Path
from generator.job import held
with held(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""
KILLED = """\
import os, signal, sys
from pathlib import Path, PurePosixPath
from generator.render import write_folder
Path.write_bytes = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_folder({PurePosixPath("docker-bake.hcl"): b"1", PurePosixPath("contexts/a/Dockerfile"): b"2"}, Path(sys.argv[1]))
"""


def start(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_another_command_is_waited_for_and_told_of(tmp_path: Path) -> None:
    holder, said = start(tmp_path / "build"), list[str]()
    waits = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    entered = threading.Event()

    def wait() -> None:
        with held(tmp_path / "build", say):
            entered.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(20)
    assert not entered.is_set()
    holder.communicate("")
    thread.join(20)
    assert entered.is_set()
    assert len(said) == 1
    assert f"another command is at work in {tmp_path / 'build'}" in said[0]


def test_one_that_was_killed_holds_nothing_and_what_it_wrote_in_part_goes(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    holder = start(folder)
    (folder / ".render-abc_0123/contexts").mkdir(parents=True)
    kept = [
        "results.json",
        "results.json.4711",
        "results.json.before-upgrade",
        ".results.json.bak",
        ".render-notes.txt",
    ]
    for name in (".mirrors.txt.0123456789abcdef", ".results.json.0123456789abcdef", *kept):
        (folder / name).write_text("x")
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    said: list[str] = []
    with held(folder, said.append):
        assert sorted(path.name for path in folder.iterdir()) == sorted([MARKER, *kept])
    assert said == []


def test_a_folder_that_was_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    with held(folder, print):
        (folder / MARKER).unlink()
        with held(folder, print):  # nobody holds this one
            assert (folder / MARKER).exists()


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not written by this software"), held(tmp_path, print):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_whose_first_rendering_was_killed_is_known_as_ours(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any(path.name.startswith(".render-") for path in folder.iterdir())
    write_folder({PurePosixPath("docker-bake.hcl"): b"1", PurePosixPath("contexts/a/Dockerfile"): b"2"}, folder)
    assert (folder / "docker-bake.hcl").read_bytes() == b"1"
