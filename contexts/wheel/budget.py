"""How many compilers may run at once in a compile target, in which order its files come, and why.

Pure but for ``machine`` and ``read_costs``. The budget is what slot.py holds all compile targets to that build at the
same time. Costs are those that slot.py noted in earlier compiles of the same package; they are kept beside its compiler
cache. Standard library only; runs inside a compile target, on the frozen image's Python.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GIB = 1 << 30
COSTS = "costs.json"
# A heavy cicc or g++ on torch's headers takes up to this much; others report 3-5 GB for an nvcc thread.
MEMORY_WHEN_UNKNOWN = 3 * GIB
# What was measured is that of the largest worker; sources change.
MARGIN = 1.2
LEAST_MEMORY = GIB // 2
DEVICE_SUFFIX = ".cu"
UNKNOWN_DEVICE_CODE = 90_000  # seconds: before all that was measured


@dataclass(frozen=True)
class Machine:
    """Cores, and bytes of memory that are free, within what the container may use of both."""

    cores: int
    memory: int


@dataclass(frozen=True)
class Cost:
    """What one source took: CPU seconds of all its compilers, and bytes of the largest."""

    cpu: float
    memory: int


@dataclass(frozen=True)
class Costs:
    """Costs by source (a path below the package's top), of a stack: other torch, other costs."""

    stack: str = ""
    sources: Mapping[str, Cost] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """The budget of a compile target; ``why`` says in one line where it comes from."""

    jobs: int
    workers: int
    threads: int
    memory: int
    why: str


def machine(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Machine:
    """Read what there is: cores that this process may run on, free memory, and the limits of its control group.

    Source: Linux kernel, cgroup-v2 (cpu.max, memory.max, memory.current) and v1 (cpu.cfs_quota_us,
    cpu.cfs_period_us, memory.limit_in_bytes, memory.usage_in_bytes).
    """
    cores = len(os.sched_getaffinity(0))
    quota, period = _quota(cgroup)
    if quota > 0 and period > 0:
        cores = min(cores, max(1, quota // period))
    lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), GIB)
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        bound = _number(cgroup / limit)
        if bound:
            free = min(free, max(0, bound - _number(cgroup / used)))
    return Machine(cores=cores, memory=free)


def _quota(cgroup: Path) -> tuple[int, int]:
    try:
        words = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        return (int(words[0]), int(words[1])) if words[0] != "max" else (0, 0)
    except OSError:
        return _number(cgroup / "cpu/cpu.cfs_quota_us"), _number(cgroup / "cpu/cpu.cfs_period_us")


def _number(file: Path) -> int:
    """Read a number; 0 for no file and for "max"."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def choose(facts: Machine, costs: Costs, *, archs: int, set_jobs: str = "", set_threads: str = "") -> Choice:
    """Choose the budget.

    Args:
        archs: how many an nvcc call compiles for. set_jobs, set_threads: what the user set (MAX_JOBS, NVCC_THREADS).
    """
    known = max((cost.memory for cost in costs.sources.values()), default=0)
    memory = max(LEAST_MEMORY, int(known * MARGIN)) if known else MEMORY_WHEN_UNKNOWN
    fitting = max(1, facts.memory // memory)
    workers = int(set_jobs) if set_jobs else max(1, min(facts.cores, fitting))
    # Calls of nvcc wait for their workers, and take little themselves.
    jobs = int(set_jobs) if set_jobs else facts.cores
    # The archs of a file are compiled side by side wherever there is a worker free: the budget holds them down.
    threads = int(set_threads) if set_threads else max(1, archs)
    each = f"{memory / GIB:.1f} GiB each ({'the largest of an earlier compile' if known else 'not measured yet'})"
    if set_jobs:
        reason = "MAX_JOBS"
    elif workers < facts.cores:
        reason = f"free memory {facts.memory / GIB:.1f} GiB, {each}; {facts.cores} cores"
    else:
        reason = f"{facts.cores} cores; free memory {facts.memory / GIB:.1f} GiB holds {fitting}, {each}"
    plural = "s" if workers != 1 else ""
    why = f"{workers} compiler{plural} at a time: {reason}; {threads} of {archs} archs side by side in an nvcc call"
    return Choice(jobs=jobs, workers=workers, threads=threads, memory=memory, why=why)


def weight(source: str, costs: Costs, *, prepared: bool = False) -> int:
    """Weigh a source by the CPU seconds that it took: the longest comes first.

    Device code that was not measured counts as long, since it compiles for each arch. Host code for which a header is
    being precompiled (``prepared``) comes last: by then the header is ready.
    """
    if prepared:
        return 0
    cost = costs.sources.get(source)
    if cost is None:
        return UNKNOWN_DEVICE_CODE if source.endswith(DEVICE_SUFFIX) else 1
    return 1 + int(cost.cpu)


def read_costs(file: Path) -> Costs:
    """Read what was kept; nothing where there is no such file, or one that can't be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return Costs(
            stack=str(data["stack"]),
            sources={
                str(name): Cost(cpu=float(cost["cpu"]), memory=int(cost["memory"]))
                for name, cost in data["sources"].items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Costs()


def write_costs(file: Path, costs: Costs) -> None:
    """Keep costs, in one piece: another compile of the package may be reading them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    sources = {name: {"cpu": cost.cpu, "memory": cost.memory} for name, cost in sorted(costs.sources.items())}
    part.write_text(json.dumps({"stack": costs.stack, "sources": sources}, indent=1), encoding="utf-8")
    part.replace(file)


def measured(calls: Iterable[Mapping[str, Any]], top: Path) -> dict[str, Cost]:
    """Sum up the log of slot.py by source.

    What no worker worked for came out of the compiler cache, and is left out.
    """
    cpu: dict[str, float] = {}
    memory: dict[str, int] = {}
    for call in calls:
        name = relative(str(call["source"]), top)
        if call["pool"] == "workers":
            memory[name] = max(memory.get(name, 0), int(call["memory"]))
        else:
            cpu[name] = max(cpu.get(name, 0.0), float(call["cpu"]))
    return {name: Cost(cpu=cpu[name], memory=memory[name]) for name in cpu if name in memory}


def relative(source: str, top: Path) -> str:
    """Name a source by its path below the package's top: a build's folder has no meaning for the next one."""
    path = Path(os.path.normpath(top / source))
    return path.relative_to(top).as_posix() if top in path.parents else path.as_posix()


def most_at_once(calls: Iterable[Mapping[str, Any]]) -> int:
    """Give the largest number of workers that ran at the same time, by the log of slot.py."""
    edges: list[tuple[float, int]] = []
    for call in calls:
        if call["pool"] == "workers":
            edges += [(float(call["began"]), 1), (float(call["began"]) + float(call["seconds"]), -1)]
    running = most = 0
    for _, step in sorted(edges):  # an end comes before a start at the same time
        running += step
        most = max(most, running)
    return most
