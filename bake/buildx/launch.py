"""Starts the docker client as a child that can always be found and ended; run as a script.

``python -I -S launch.py PIDFILE PARENT DIRECTORY HIDDEN docker ARGS…``

python-on-whales does not tell the pid of what it starts, and a signal to Python alone leaves the child building
(its ``Popen`` object is private to a generator). This script becomes the client:

- it leads a process group of its own, so that a terminal's Ctrl-C reaches it only through the driver, which
  then signals the whole group (the docker command line and its buildx plugin);
- it writes its pid to PIDFILE before it becomes ``docker``; the pid stays the same through ``exec``;
- the kernel interrupts it when PARENT dies, even by SIGKILL, so that no build is orphaned;
- standard error joins standard output, in order: one stream; python-on-whales copies all of standard error
  again for every line of it, which is quadratic on a long build;
- standard input is empty: no question that nobody sees can hang a build;
- variables named in HIDDEN (comma-separated) leave the environment: an HCL variable would silently take the value
  of an environment variable of the same name.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Become the docker client; returns only when it cannot be started (127) or the parent is gone (130)."""
    pidfile, parent, directory, hidden, *command = arguments
    os.setpgid(0, 0)
    _interrupt_with_parent(int(parent))
    if os.getppid() != int(parent):
        return 130
    for name in filter(None, hidden.split(",")):
        os.environ.pop(name, None)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(1, 2)
    Path(pidfile + ".new").write_text(str(os.getpid()), encoding="ascii")
    Path(pidfile + ".new").replace(pidfile)
    try:
        os.chdir(directory)
        os.execvp(command[0], command)  # noqa: S606 - becoming the client is this script's purpose
    except OSError as error:
        sys.stdout.write(f"ERROR: cannot start {command[0]}: {error}\n")
    return 127


def _interrupt_with_parent(parent: int) -> None:
    """Ask the kernel for SIGINT at the parent's death (Linux only; elsewhere nothing happens)."""
    if not sys.platform.startswith("linux") or parent <= 1:
        return

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
