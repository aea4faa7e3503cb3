"""The docker client as a child process: started through python-on-whales, read line by line, ended by pid.

The lines are read in a thread, so that the main thread can show time passing and answer signals at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.errors import EnvironmentUnfit
from bake.temporary import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAUNCHER = Path(__file__).with_name("launch.py")
GRACE = (
    2.0,
    1.0,
    0.5,
)  # seconds after INT, TERM and KILL before the next one; 3.5 s in all, of the 5 s promised
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


class Client:
    """One run of the docker command line.

    Args:
        run: called in a thread with a python-on-whales DockerClient; returns the iterator of output lines.
        directory: working directory of the client. hidden: environment variables that it must not see.

    """

    def __init__(self, run: Callable[[Any], Iterator[str]], *, directory: Path, hidden: tuple[str, ...] = ()) -> None:
        self._run = run
        self._directory = directory
        self._hidden = hidden
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, name="docker-client", daemon=True)
        self._stack = contextlib.ExitStack()
        self._pidfile = Path()
        self._escalation = 0
        self._next_signal = float("inf")
        self._stopping = threading.Event()
        self.exit_status: int | None = None
        self.failure: BaseException | None = None

    def __enter__(self) -> Client:  # noqa: PYI034 - typing.Self is 3.11
        self._pidfile = self._stack.enter_context(temporary_folder("image-uplift-bake-")) / "pid"
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()
            deadline = time.monotonic() + sum(GRACE) + 0.5
            while self._thread.is_alive() and time.monotonic() < deadline:
                self._thread.join(0.05)
                self._escalate_when_due()
        self._stack.close()

    def lines(self, tick: float) -> Iterator[str | None]:
        """Output lines as they come, and None after every ``tick`` seconds of silence; ends with the client."""
        while True:
            try:
                line = self._lines.get(timeout=tick)
            except queue.Empty:
                if not self._escalate_when_due():
                    return
                yield None
                continue
            if line is None:
                return
            if line:
                yield line
            self._escalate_when_due()

    def stop(self) -> None:
        """Ask the client to end: INT first, then TERM, then KILL; every further call goes one step on at once."""
        self._stopping.set()
        self._next_signal = 0.0
        self._lines.put("")  # wakes the reader of lines()

    def _escalate_when_due(self) -> bool:
        """Send the next signal when its time has come; False when nothing more can be waited for."""
        if not self._stopping.is_set() or time.monotonic() < self._next_signal:
            return True
        pid = self._pid()
        if pid is None:
            self._next_signal = time.monotonic() + 0.02  # not started yet, or ended just now
            return self._thread.is_alive()
        if self._escalation >= len(_SIGNALS):
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, _SIGNALS[self._escalation])
        self._next_signal = time.monotonic() + GRACE[self._escalation]
        self._escalation += 1
        return True

    def _pid(self) -> int | None:
        """Process (and group) id of the client; None before its start and after its end was collected."""
        if not self._thread.is_alive():
            return None
        try:
            return int(self._pidfile.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _read(self) -> None:
        from python_on_whales import DockerClient, DockerException

        call = [
            sys.executable,
            *("-I", "-S", str(LAUNCHER)),
            *(str(self._pidfile), str(os.getpid()), str(self._directory), ",".join(self._hidden)),
            "docker",
        ]
        try:
            for line in self._run(DockerClient(client_call=call)):
                self._lines.put(line)
            self.exit_status = 0
        except DockerException as error:
            self.exit_status = error.return_code
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            self.failure = error
        finally:
            self._lines.put(None)


def load_clients() -> None:
    """Import the clients of the engine and of buildx: half a second that is spent well while something is awaited."""
    import docker  # noqa: F401
    import python_on_whales  # noqa: F401


def require_docker() -> None:
    """Make sure that a docker command line is there.

    Raises:
        EnvironmentUnfit: no ``docker`` on PATH.

    """
    if shutil.which("docker") is None:
        raise EnvironmentUnfit(
            "there is no docker command on PATH",
            remedy="install Docker Engine with buildx, or run `make engine` (Debian and Ubuntu)",
        )
