"""Which compilers ran, and when: read from the process table while a build runs.

Every 0.1 s the processes below the build are looked at. That sees each compiler call of any build tool, and below each
nvcc the parts that do the work (cicc and ptxas of each arch, cudafe++, cc1plus). Standard library only.
"""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC = Path("/proc")
INTERVAL = 0.1
DRIVERS = ("nvcc", "c++", "g++", "gcc", "cc", "x86_64-linux-gnu-g++", "x86_64-linux-gnu-gcc")
WORKERS = ("cicc", "ptxas", "cudafe++", "cc1plus", "fatbinary", "nvlink", "ld", "collect2", "as")
MADE_BY_NVCC = "tmpxft_"
STEM = re.compile(r"tmpxft_[0-9a-f]+_[0-9a-f]+-\d+_([^.]+)")
ARCH = re.compile(r"\b(?:compute|sm)_(\d+[af]?)")
SOURCES = (".cu", ".cpp", ".cc", ".cxx", ".c")


@dataclass(kw_only=True)
class Call:
    """One process: seconds since the build began, and the CPU seconds of itself at the last look."""

    pid: int
    program: str
    source: str
    arch: str
    started: float
    ended: float
    cpu_seconds: float = 0.0

    def as_data(self) -> dict[str, Any]:
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in vars(self).items()}


def describe(words: list[str]) -> tuple[str, str, str] | None:
    """Program, source and arch of a compiler's command line; None for another process.

    nvcc runs the host compiler on files that it made; that is work, but no compiler call of the build tool's.
    """
    program = Path(words[0]).name if words else ""
    sources = [Path(word).name for word in words[1:] if word.endswith(SOURCES) and not word.startswith("-")]
    if program in DRIVERS:
        calls = "-c" in words and sources and not sources[0].startswith(MADE_BY_NVCC)
        return (program, sources[0], "") if calls else None
    if program not in WORKERS:
        return None
    plain = [source for source in sources if not source.startswith(MADE_BY_NVCC)]
    asked = [words[words.index("-arch") + 1]] if "-arch" in words[:-1] else words[1:]
    archs = {match[1] for word in asked for match in ARCH.finditer(word)}
    host = program == "cc1plus" and any(".cudafe1." in source for source in sources)
    return program, plain[0] if plain else _stem(words), archs.pop() if len(archs) == 1 and not host else ""


def _stem(words: list[str]) -> str:
    """What a worker of nvcc works on: its temporary files bear the source's name, tmpxft_PID_N-K_NAME.rest."""
    names = [match[1] for word in words[1:] if (match := STEM.search(word))]
    return names[0] if names else ""


def most_at_once(calls: list[Call], programs: tuple[str, ...]) -> int:
    """The most processes of these programs that ran at the same time."""
    marks = sorted(
        mark for call in calls if call.program in programs for mark in ((call.started, 1), (call.ended + INTERVAL, -1))
    )
    most = running = 0
    for _, change in marks:
        running += change
        most = max(most, running)
    return most


class Watch:
    """Watches all that a process starts; use as a context manager around the wait for it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = time.monotonic()
        self._calls: dict[tuple[int, str], Call] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.memory = 0

    def __enter__(self) -> Watch:  # noqa: PYI034  the standard library has Self from 3.11 on
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def calls(self) -> list[Call]:
        """The compiler processes, by their start."""
        return sorted(self._calls.values(), key=lambda call: call.started)

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        now = time.monotonic() - self._began
        table = _table()
        held, compiling = 0, set[int]()
        for pid in _below(self._pid, table):
            fields = table[pid]
            held += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            key = (pid, fields[19])  # with its start time: pids are used again
            call = self._calls.get(key) or self._new(pid, now)
            if call is None or (call.program in DRIVERS and _parent(table, pid) in compiling):
                continue  # nvcc forks itself for its threads: one call
            self._calls[key] = call
            if call.program in DRIVERS:
                compiling.add(pid)
            call.ended = now
            call.cpu_seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        self.memory = max(self.memory, held)

    @staticmethod
    def _new(pid: int, now: float) -> Call | None:
        try:
            words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return None
        found = describe([word for word in words if word])
        if found is None:
            return None
        program, source, arch = found
        return Call(pid=pid, program=program, source=source, arch=arch, started=now, ended=now)


def _table() -> dict[int, list[str]]:
    """Fields of /proc/PID/stat after the name, by process id."""
    table = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            table[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
    return table


def _parent(table: dict[int, list[str]], pid: int) -> int:
    return int(table[pid][1])


def _below(pid: int, table: dict[int, list[str]]) -> list[int]:
    children: dict[int, list[int]] = {}
    for each, fields in table.items():
        children.setdefault(int(fields[1]), []).append(each)
    found = [pid] if pid in table else []
    for each in found:
        found.extend(children.get(each, ()))
    return found
