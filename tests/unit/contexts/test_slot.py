"""The compile slots, with real processes and real locks; the "compiler" is a small script that notes who runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import load

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

    def start(
        self, name: str, *, count: int = 1, rank: int = 0, flag: str = "-c", pool: str = "jobs", memory: int = 0
    ) -> subprocess.Popen[bytes]:
        environment = {
            "SLOTS": str(self.folder),
            "SLOT_JOBS": str(count),
            "SLOT_WORKERS": str(count),
            "SLOT_MEMORY": str(memory),
            "SLOT_RANK": str(rank),
            "SLOT_LOG": str(self.folder / "calls"),
            "SLOT_WEIGHTS": str(self.folder / "weights.json"),
            "SLOT_SOURCE": name,
        }
        (self.folder / "compiler.py").write_text(COMPILER)
        process = subprocess.Popen(
            [
                sys.executable,
                str(SLOT),
                pool,
                sys.executable,
                str(self.folder / "compiler.py"),
                flag,
                str(self.folder),
                name,
            ],
            env={**os.environ, **environment},
            start_new_session=True,
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
def slots(tmp_path: Path) -> Iterator[Slots]:
    made = Slots(tmp_path)
    yield made
    for process in made.processes:
        process.wait(30)


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
    slots.start("other", rank=1)
    time.sleep(0.3)  # the other waits already
    slots.start("awaited")
    time.sleep(0.3)
    for name in ("holder", "awaited", "other"):
        slots.let_go(name)
    assert [process.wait(30) for process in slots.processes] == [0, 0, 0]
    assert slots.log() == ["+holder", "-holder", "+awaited", "-awaited", "+other", "-other"]


def test_the_longest_file_comes_first(slots: Slots) -> None:
    weights = {str(Path(name).absolute()): weight for name, weight in (("short", 1), ("long", 100), ("longer", 200))}
    (slots.folder / "weights.json").write_text(json.dumps(weights))
    slots.start("holder")
    slots.wait_for("+holder")
    for name in weights:
        slots.start(Path(name).name)
    time.sleep(0.5)
    for name in ("holder", "long", "short", "longer"):
        slots.let_go(name)
    assert [process.wait(30) for process in slots.processes] == [0, 0, 0, 0]
    assert [entry for entry in slots.log() if entry[0] == "+"] == ["+holder", "+longer", "+long", "+short"]


def test_who_was_killed_while_waiting_holds_nobody_up(slots: Slots) -> None:
    slots.start("holder")
    slots.wait_for("+holder")
    killed = slots.start("killed")
    time.sleep(0.3)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(30)
    for name in ("holder", "next"):
        slots.let_go(name)
    assert slots.start("next", rank=1).wait(30) == 0
    assert not list(slots.folder.glob("jobs.waits.*"))


def test_a_killed_compiler_frees_its_slot(slots: Slots) -> None:
    holder = slots.start("holder")
    slots.wait_for("+holder")
    os.killpg(holder.pid, signal.SIGKILL)
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


def test_the_pools_do_not_share_slots(slots: Slots) -> None:
    slots.start("job")
    slots.wait_for("+job")
    slots.let_go("worker")
    assert slots.start("worker", pool="workers").wait(30) == 0
    slots.let_go("job")
    assert slots.processes[0].wait(30) == 0


def test_a_second_worker_waits_for_memory_and_the_first_never_does(slots: Slots) -> None:
    more_than_there_is = 1 << 60
    slots.start("first", pool="workers", count=2, memory=more_than_there_is)
    slots.wait_for("+first")
    second = slots.start("second", pool="workers", count=2, memory=more_than_there_is)
    slots.let_go("second")
    time.sleep(0.5)
    assert "+second" not in slots.log()
    slots.let_go("first")
    assert second.wait(30) == 0
    assert slots.log() == ["+first", "-first", "+second", "-second"]


@pytest.mark.parametrize(
    ("pool", "command", "counted"),
    [
        ("jobs", "/x/nvcc -c a.cu -o a.o", True),
        ("jobs", "/x/nvcc --version", False),
        ("workers", "/x/nvcc -c a.cu -o a.o", False),
        ("workers", "/x/cicc -arch compute_80 a.ii -o a.ptx", True),
        ("workers", "/usr/bin/c++ -E a.cpp", False),
        ("workers", "/usr/bin/c++ -c a.cpp", True),
        ("workers", "/usr/bin/c++ -O3 -x c++-header a.h -o a.h.gch", True),
        ("workers", "/usr/bin/c++ -O3 -x c++-header a.h -E -dU", False),
        ("workers", "/usr/bin/c++ -shared a.o -o a.so", False),
    ],
)
def test_what_counts_as_a_compile(pool: str, command: str, counted: bool) -> None:
    assert load("wheel/slot.py").needs_slot(pool, command.split()) is counted


def test_each_call_leaves_what_it_took(tmp_path: Path) -> None:
    environment = {**os.environ, "SLOTS": str(tmp_path), "SLOT_JOBS": "1"}
    environment["SLOT_LOG"] = str(tmp_path / "calls")
    program = "import sys; x = bytearray(200_000_000); raise SystemExit(7)"
    command = [sys.executable, str(SLOT), "jobs", sys.executable, "-c", program, "a.cu"]
    assert subprocess.run(command, env=environment, check=False).returncode == 7
    call = json.loads((tmp_path / "calls").read_text())
    assert (call["pool"], call["source"]) == ("jobs", "a.cu")
    assert call["memory"] > 200_000_000
    assert call["cpu"] > 0


def test_a_compiler_that_is_not_there_is_said() -> None:
    command = [sys.executable, str(SLOT), "jobs", "/nowhere/c++", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (127, "slot.py: /nowhere/c++: No such file or directory\n")
