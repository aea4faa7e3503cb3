"""What a piece of work costs: wall time, CPU seconds, memory; of one control group, or of the whole machine.

The engine of the bench has a control group of its own, with the daemon, its builds and its containers in it. What the
clients use comes from ``getrusage``. Where no control group can be made, ``/proc/stat`` counts for the whole machine,
which is right only while nothing else runs; the results say which it was.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
INTERVAL = 0.25  # seconds between two looks at the memory


@dataclass(kw_only=True)
class Cost:
    """What some work cost.

    ``memory``: the most that the group's processes held at once (anonymous and shared memory, no page cache), None
    where there is no group; ``available``: the least that the machine had left; all in bytes, sampled.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory: int | None = None
    available: int = 0

    def as_data(self) -> dict[str, float | int | None]:
        return {
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "peak_memory": self.memory,
            "least_available_memory": self.available,
        }


def parse_table(text: str) -> dict[str, int]:
    """Read lines of ``name number``, as control groups and /proc/meminfo have them (there in kB: bytes here)."""
    table: dict[str, int] = {}
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdigit():
            table[words[0]] = int(words[1]) * (1024 if words[2:] == ["kB"] else 1)
    return table


def busy_seconds(stat: str, ticks: int) -> float:
    """CPU seconds of the whole machine that were not idle, from the first line of /proc/stat."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = (int(word) for word in stat.split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / ticks


class Machine:
    """The whole machine: what is measured where there is no control group."""

    source = "the whole machine (/proc/stat): right only while nothing else runs"

    def cpu_seconds(self) -> float:
        return busy_seconds((PROC / "stat").read_text(), os.sysconf("SC_CLK_TCK"))

    def memory(self) -> int | None:
        return None

    def adopt(self, pids: list[int]) -> None:
        """Nothing is to be done: all processes count."""

    def remove(self) -> None:
        """Nothing was made."""


class Group:
    """A control group: version 1 (a folder under each controller) or version 2 (one folder).

    Args:
        name: of the group, below the root. root: where control groups are mounted.
    """

    def __init__(self, name: str, root: Path = CGROUPS) -> None:
        self.name = name
        self._root = root
        self.version = 2 if (root / "cgroup.controllers").exists() else 1
        tops = [root] if self.version == 2 else [root / part for part in ("cpuacct", "memory")]
        self._folders = [top / name for top in tops]
        if self.version == 2:
            self._enable(root)
        for folder in self._folders:
            folder.mkdir(exist_ok=True)
            # Version 2 wants processes in leaves only, and builds get groups below this one.
            (folder / "daemon").mkdir(exist_ok=True)
        if self.version == 2:
            self._enable(self._folders[0])

    @property
    def source(self) -> str:
        return (
            f"control group /{self.name} (version {self.version}) with daemon, builds and containers, and the clients"
        )

    def cpu_seconds(self) -> float:
        if self.version == 2:
            return parse_table((self._folders[0] / "cpu.stat").read_text())["usage_usec"] / 1e6
        return int((self._folders[0] / "cpuacct.usage").read_text()) / 1e9

    def memory(self) -> int | None:
        try:
            table = parse_table((self._folders[-1] / "memory.stat").read_text())
        except OSError:
            return None
        names = ("anon", "shmem") if self.version == 2 else ("total_rss", "total_shmem")
        return sum(table.get(name, 0) for name in names)

    def adopt(self, pids: list[int]) -> None:
        """Take processes in; what they start later is in as well."""
        for folder in self._folders:
            for pid in pids:
                try:
                    (folder / "daemon/cgroup.procs").write_text(str(pid))
                except ProcessLookupError:
                    continue

    def remove(self) -> None:
        """Remove the group, once its processes have ended; version 1: under every controller, where builds made it."""
        for folder in (self._root / self.name, *self._root.glob(f"*/{self.name}")):
            for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
                _rmdir(inner)
            _rmdir(folder)

    @staticmethod
    def _enable(folder: Path) -> None:
        try:
            (folder / "cgroup.subtree_control").write_text("+cpu +memory")
        except OSError:  # memory is then not told; CPU is counted without a controller
            return


def _rmdir(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        try:
            folder.rmdir()
        except OSError:  # processes that were killed are still on their way out
            time.sleep(0.1)


def make_group(name: str, root: Path = CGROUPS) -> Group | Machine:
    """Make a control group, or say that the whole machine is measured."""
    try:
        group = Group(name, root)
        group.cpu_seconds()
    except (OSError, KeyError, ValueError):
        return Machine()
    return group


def descendants(pid: int) -> list[int]:
    """Process ids of a process and of all that it started."""
    parents: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        parents.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found.extend(parents.get(each, ()))
    return found


@dataclass
class Meter:
    """Measures pieces of work of one group."""

    group: Group | Machine = field(default_factory=Machine)

    @contextmanager
    def measured(self) -> Iterator[Cost]:
        """Measure what is done inside; the cost is filled in at the end, also of work that fails."""
        cost = Cost(available=_available())
        end = threading.Event()
        watch = threading.Thread(target=self._watch, args=(cost, end), daemon=True)
        clients, group, began = _clients(), self.group.cpu_seconds(), time.monotonic()
        watch.start()
        try:
            yield cost
        finally:
            cost.seconds = time.monotonic() - began
            used = self.group.cpu_seconds() - group
            # The whole machine's figure has the clients in it.
            cost.cpu_seconds = used if isinstance(self.group, Machine) else used + _clients() - clients
            end.set()
            watch.join()

    def _watch(self, cost: Cost, end: threading.Event) -> None:
        while True:
            held = self.group.memory()
            if held is not None:
                cost.memory = max(cost.memory or 0, held)
            cost.available = min(cost.available, _available())
            if end.wait(INTERVAL):
                return


def _available() -> int:
    return parse_table((PROC / "meminfo").read_text()).get("MemAvailable", 0)


def _clients() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
