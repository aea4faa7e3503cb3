"""Gives all that a step wrote one and the same time, so that the same content makes the same layer on every machine.

    python -I -S -B settle.py

What a step wrote has a change time and a time of modification since the step began: by the clock of the oldest process
of its container, which is there before BuildKit makes the mount points that it takes away again. The time is the one
that wheels have, the earliest that a zip file can hold. Runs inside a build, on the frozen image's Python (3.8 and
later), with its standard library only.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

EPOCH = 315532800  # 1980-01-01
_CLOCKS = 0.1  # seconds; the kernel stamps files by a clock that lags some ticks behind the others


def main() -> None:
    """Settle the container's own file system."""
    count = settle("/", began(os.getpid()), mounted=mount_points(Path("/proc/self/mountinfo").read_bytes()))
    print(f"settle.py: {count} entries have the time {EPOCH}", flush=True)


def settle(top: str, since: float, *, mounted: frozenset[bytes] = frozenset(), to: int = EPOCH) -> int:
    """Set the time of what changed since then, and count it; what is mounted is left alone."""
    count = 0
    waiting = [os.fsencode(top)]
    while waiting:
        folder = waiting.pop()
        inner = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.path in mounted:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    inner.append(entry.path)
        for path in (*inner, folder):
            status = os.lstat(path)
            if status.st_mtime >= since and status.st_ctime >= since:
                os.utime(path, (to, to), follow_symlinks=False)
                count += 1
    return count


def began(process: int) -> float:
    """When the oldest of a process and its parents in the same container began, in seconds since the epoch."""
    root = Path("/").stat()
    started, parent = _start_and_parent(process)
    while parent and _has_root(parent, root):
        started, parent = _start_and_parent(parent)
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    return time.time() - since_boot - _CLOCKS


def _start_and_parent(process: int) -> tuple[int, int]:
    """Ticks from the boot of the machine to the start of a process, and its parent (proc_pid_stat(5))."""
    fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[19]), int(fields[1])


def _has_root(process: int, root: os.stat_result) -> bool:
    try:
        return os.path.samestat(Path(f"/proc/{process}/root").stat(), root)
    except OSError:
        return False


def mount_points(mountinfo: bytes) -> frozenset[bytes]:
    """Read the places of mounts, the root itself left out; blanks and their like are written in octal."""
    places = (line.split()[4] for line in mountinfo.splitlines())
    return frozenset(re.sub(rb"\\(\d{3})", lambda found: bytes([int(found[1], 8)]), place) for place in places) - {b"/"}


if __name__ == "__main__":
    main()
