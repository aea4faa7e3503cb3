"""The compile slots, with real processes and real locks; the "compiler" is a small script that notes who runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLOT = Path(__file__).parents[3] / "contexts/wheel/slot.py"
# Appends +name, waits until the file `go` is there, appends -name.
COMPILER = """\
import sys, time, pathlib
folder, name = pathlib.Path(sys.argv[2]), sys.argv[3]
def note(mark):
    with (folder / "log").open("a") as log:
        log.write(mark + name + "\\n")
note("+")
while not (folder / f"go-{name}").exists():
    time.sleep(0.01)
note("-")
"""


class Slots:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "log").touch()
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *, count: int = 1, pause: float = 0.02, flag: str = "-c") -> subprocess.Popen[bytes]:
        environment = {"SLOTS": str(self.folder), "SLOT_COUNT": str(count), "SLOT_PAUSE": str(pause)}
        (self.folder / "compiler.py").write_text(COMPILER)
        process = subprocess.Popen(
            [sys.executable, str(SLOT), sys.executable, str(self.folder / "compiler.py"), flag, str(self.folder), name],
            env={**os.environ, **environment},
        )
        self.processes.append(process)
        return process

    def let_go(self, name: str) -> None:
        (self.folder / f"go-{name}").touch()

    def log(self) -> list[str]:
        return (self.folder / "log").read_text().split()

    def wait_for(self, entry: str) -> None:
        deadline = time.monotonic() + 20
        while entry not in self.log():
            assert time.monotonic() < deadline, (entry, self.log())
            time.sleep(0.01)


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path)


def test_never_more_compilers_than_slots(slots: Slots) -> None:
    for name in "abcd":
        slots.start(name, count=2)
    for name in "abcd":
        slots.let_go(name)
    assert [process.wait(30) for process in slots.processes] == [0, 0, 0, 0]
    running, most = 0, 0
    for entry in slots.log():
        running += 1 if entry[0] == "+" else -1
        most = max(most, running)
    assert most <= 2
    assert len(slots.log()) == 8


def test_who_is_waited_for_comes_first(slots: Slots) -> None:
    slots.start("holder")
    slots.wait_for("+holder")
    slots.start("other", pause=3.0)
    time.sleep(0.3)  # the other looked once and sleeps
    slots.start("awaited", pause=0.02)
    time.sleep(0.3)
    for name in ("holder", "awaited", "other"):
        slots.let_go(name)
    assert [process.wait(30) for process in slots.processes] == [0, 0, 0]
    assert slots.log() == ["+holder", "-holder", "+awaited", "-awaited", "+other", "-other"]


def test_a_killed_compiler_frees_its_slot(slots: Slots) -> None:
    holder = slots.start("holder")
    slots.wait_for("+holder")
    holder.send_signal(signal.SIGKILL)
    holder.wait(30)
    slots.let_go("next")
    assert slots.start("next").wait(30) == 0


def test_links_and_questions_need_no_slot(slots: Slots) -> None:
    slots.start("holder")
    slots.wait_for("+holder")
    slots.let_go("link")
    assert slots.start("link", flag="-shared").wait(30) == 0
    slots.let_go("holder")
    assert slots.processes[0].wait(30) == 0


def test_the_exit_status_is_the_compilers(tmp_path: Path) -> None:
    environment = {**os.environ, "SLOTS": str(tmp_path), "SLOT_COUNT": "1", "SLOT_PAUSE": "0.02"}
    command = [sys.executable, str(SLOT), sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, env=environment, check=False).returncode == 7
