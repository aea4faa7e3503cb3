"""Runs one compiler call in one of the machine's compile slots: ``slot.py COMMAND…``.

All compile targets that build at the same time share the slots, files in a cache mount that each of them sees; so
there are never more compilers than cores and memory allow, however many targets run. A slot is a lock on a file: the
kernel frees it when the compiler ends, whatever ends it. A target that others wait for looks for a free slot more
often, and so comes first; the others get what it leaves.

Environment: ``SLOTS`` folder of the slots; ``SLOT_COUNT`` how many; ``SLOT_PAUSE`` seconds between two looks.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path


def take(folder: Path, count: int, pause: float) -> int:
    """Wait for a free slot; returns the descriptor that holds its lock, which a started program inherits."""
    while True:
        for number in range(count):
            descriptor = os.open(folder / f"slot-{number}", os.O_CREAT | os.O_RDWR, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            os.set_inheritable(descriptor, True)
            return descriptor
        time.sleep(pause)


def main() -> None:
    """Take a slot for a compile; links and questions such as --version need none."""
    command = sys.argv[1:]
    if "-c" in command:
        take(Path(os.environ["SLOTS"]), int(os.environ["SLOT_COUNT"]), float(os.environ["SLOT_PAUSE"]))
    os.execvp(command[0], command)  # noqa: S606  the compiler takes this process's place, and with it the lock


if __name__ == "__main__":
    main()
