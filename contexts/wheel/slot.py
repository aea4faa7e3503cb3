"""Runs one compiler call within the machine's budget: ``slot.py POOL COMMAND…``.

All compile targets that build at the same time share two pools of slots, files in a cache mount that each of them sees;
so there are never more compilers than cores and memory allow, however many targets run. A slot is a lock on a file: the
kernel frees it when the compiler ends, whatever ends it.

    jobs       calls of nvcc and of the host compiler as ninja makes them
    workers    what really works below them: cicc and ptxas, one per arch, cudafe++, the host compiler itself

Who holds a slot of the first pool may wait for one of the second, never the other way round, so nobody waits in a
circle. All workers but the first also wait until a worker's memory is free. Of those who wait, whoever another target
waits for comes first, then the longest file; who has waited very long comes before all.

Environment: ``SLOTS`` folder of the slots; ``SLOT_JOBS``, ``SLOT_WORKERS`` how many; ``SLOT_RANK`` of the target, the
lower first; ``SLOT_WEIGHTS`` file with the weight of each source, the higher first (JSON); ``SLOT_MEMORY`` bytes that a
worker takes; ``SLOT_LOG`` file to which each call adds one line of JSON, in seconds and bytes; ``SLOT_HEADERS`` folder
of precompiled headers (precompiled.py); and those of flags.py, which sets the flags of each call of the first pool.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parent))

import flags

JOBS, WORKERS = "jobs", "workers"
# What nvcc starts for each arch; the host compiler is one too, unless it only preprocesses or links.
DEVICE_TOOLS = ("cicc", "ptxas", "cudafe++")
MEMBERS = ".members"  # after the name of a group of sources: it is one (groups.py)
PATIENCE = 600.0  # seconds after which nobody is let past any more
PAUSE, PAUSE_OF_THE_FIRST = 0.2, 0.02  # seconds between two looks for a free slot
MOST_WEIGHT = 99_999  # seconds


def take(folder: Path, pool: str, count: int, rank: int, memory: int = 0) -> int:
    """Wait for a free slot; returns the descriptor that holds its lock, which a started program inherits."""
    ticket, waiting = draw_ticket(folder, pool, rank)
    try:
        while True:
            first = is_first(ticket)
            descriptor = free_slot(folder, pool, count, memory) if first else None
            if descriptor is not None:
                os.set_inheritable(descriptor, True)
                return descriptor
            time.sleep(PAUSE_OF_THE_FIRST if first else PAUSE)
    finally:
        ticket.unlink()
        os.close(waiting)


def draw_ticket(folder: Path, pool: str, rank: int) -> tuple[Path, int]:
    """Queue up: a locked file whose name sorts by rank, then time; gives it and the descriptor of its lock."""
    part = folder / f"ticket.{os.getpid()}.{time.time_ns()}"
    descriptor = os.open(part, os.O_CREAT | os.O_RDWR, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    ticket = folder / f"{pool}.waits.{rank:08d}.{time.time_ns()}.{os.getpid()}"
    part.rename(ticket)  # nobody sees it before it is locked
    return ticket, descriptor


def is_first(ticket: Path) -> bool:
    """Tell whether nobody who still waits comes before a ticket."""
    pool, _, _, *_ = ticket.name.split(".")
    now = time.time_ns()

    def place(name: str) -> tuple[bool, int, int]:
        _, _, rank, drawn, _ = name.split(".")
        patient = now - int(drawn) > PATIENCE * 1e9
        return not patient, 0 if patient else int(rank), int(drawn)

    others = [entry for entry in os.listdir(ticket.parent) if entry.startswith(f"{pool}.waits.")]  # noqa: PTH208
    for name in sorted(others, key=place):
        if name == ticket.name:
            return True
        if is_held(ticket.parent / name):
            return False
    return True


def is_held(ticket: Path) -> bool:
    """Tell whether whoever drew a ticket still waits; removes what a killed one left."""
    try:
        descriptor = os.open(ticket, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        ticket.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)


def free_slot(folder: Path, pool: str, count: int, memory: int) -> int | None:
    """Lock a slot that is free; None when there is none, or not the memory for one more."""
    for number in range(count):
        if number and memory and available_memory() < memory:
            return None
        descriptor = os.open(folder / f"{pool}-{number}", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return descriptor
    return None


def available_memory() -> int:
    """Bytes that the kernel would give without swapping; everything where it does not say."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return sys.maxsize


def needs_slot(pool: str, command: list[str]) -> bool:
    """Tell whether a call is one to count: links, preprocessing and questions such as --version are not."""
    name = Path(command[0]).name
    if pool == WORKERS and name in DEVICE_TOOLS:
        return True
    if pool == WORKERS and "c++-header" in command:
        return "-E" not in command
    return "-c" in command and not (pool == WORKERS and name == "nvcc")


def source_of(command: list[str]) -> str:
    """Name the file that a call compiles: nvcc's tools are told by ``SLOT_SOURCE`` whose they are."""
    given = os.environ.get("SLOT_SOURCE")
    return given or flags.source_of(command)


def run(pool: str, command: list[str], output: BinaryIO | None = None) -> int:
    """Run the command, and add what it took to the log; gives its exit status. output: what gets all that it says."""
    source = source_of(command)
    began = time.time()
    pid = os.fork()
    if pid == 0:
        os.environ["SLOT_SOURCE"] = source
        if output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        execute(command)
    _, status, usage = os.wait4(pid, 0)
    note = {
        "pool": pool,
        "tool": Path(command[0]).name,
        "source": source,
        "began": round(began, 2),
        "seconds": round(time.time() - began, 2),
        "cpu": round(usage.ru_utime + usage.ru_stime, 2),
        "memory": usage.ru_maxrss * 1024,
    }
    with Path(os.environ["SLOT_LOG"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(note) + "\n")
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def execute(command: list[str]) -> None:
    """Become the command."""
    try:
        os.execvp(command[0], command)  # noqa: S606  a compiler's own arguments, no shell
    except OSError as error:
        print(f"slot.py: {command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def main() -> None:
    """Take a slot for a compile, and run it."""
    pool, command = sys.argv[1], sys.argv[2:]
    if pool == JOBS:
        command = flags.settle(command, os.environ)
    if not needs_slot(pool, command):
        execute(command)
    if pool == WORKERS:
        command = with_header(command)
    memory = int(os.environ.get("SLOT_MEMORY", "0")) if pool == WORKERS else 0
    source = source_of(command)
    rank = rank_of(source)
    held = take(Path(os.environ["SLOTS"]), pool, int(os.environ[f"SLOT_{pool.upper()}"]), rank, memory)
    if pool == JOBS and source and os.path.exists(source + MEMBERS):  # noqa: PTH110
        sys.exit(run_group(command, source, held))
    os.environ["SLOT_WEIGHED_RANK"] = str(rank)
    sys.exit(run(pool, command))


def run_group(command: list[str], source: str, held: int) -> int:
    """Compile sources together, or one by one where that fails (groups.py); gives the exit status."""
    import tempfile  # both just here: most calls need neither

    import groups

    members = groups.members_of(source)
    with tempfile.TemporaryFile() as output:
        os.environ["SLOT_WEIGHED_RANK"] = str(rank_of(source))
        status = run(JOBS, command, output)
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    if status == 0:
        sys.stderr.write(said)
        groups.leave_empty(members)
        return 0
    os.close(held)  # the members take slots of their own
    del os.environ["SLOT_WEIGHED_RANK"]
    return groups.take_apart([sys.executable, "-IS", *sys.argv], source, members, said)


def rank_of(source: str) -> int:
    """Rank a call by its target, then by the weight of its source; what an nvcc call starts has the call's rank."""
    known = os.environ.get("SLOT_WEIGHED_RANK")
    if known:
        return int(known)
    weights = Path(os.environ.get("SLOT_WEIGHTS", ""))
    found = json.loads(weights.read_text(encoding="utf-8")) if weights.is_file() else {}
    weight = min(MOST_WEIGHT, int(found.get(str(Path(source).absolute()), 0)))
    return int(os.environ.get("SLOT_RANK", "0")) * (MOST_WEIGHT + 1) + MOST_WEIGHT - weight


def with_header(command: list[str]) -> list[str]:
    """Add the precompiled header that was made for the head of this source, when it is ready."""
    folder = os.environ.get("SLOT_HEADERS")
    source = flags.source_of(command)
    index = Path(folder, "index.json") if folder else None
    if index is None or not source or not index.is_file():
        return command
    header = json.loads(index.read_text(encoding="utf-8")).get(str(Path(source).absolute()))
    if header is None or not Path(header + ".gch").exists():
        return command
    return [command[0], "-include", header, *command[1:]]


if __name__ == "__main__":
    main()
