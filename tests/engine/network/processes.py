"""Processes of the laboratory: started for good, or run to their end, with what they said when they fail."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

# util-linux: the kernel ends the process when the thread that started it is gone, so that an aborted test run leaves
# none behind. Start servers from a thread that stays.
ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
PREFIX = "upl"  # names of interfaces and namespaces: upl<process id>…, at most 15 characters


def run(
    *command: str | Path, check: bool = True, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command and give its stdout; the assertion shows stdout and stderr when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, input=stdin, env=environment)
    said = done.stdout.decode(errors="replace")
    assert not check or done.returncode == 0, f"{' '.join(words)}: {said}{done.stderr.decode(errors='replace')}"
    return said.strip()


def serve(*command: str | Path, stdout: Path, stderr: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Start a server in a session of its own; what it says is appended to two files."""
    with stdout.open("ab") as out, stderr.open("ab") as err:
        return Process(
            subprocess.Popen(
                [*ENDS_WITH_US, *(str(word) for word in command)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
            ),
            log=stderr,
        )


def remove_later(folder: Path) -> None:
    """Remove a folder without waiting for it: the thousands of files of an image take a busy disk many seconds."""
    with subprocess.Popen(["sh", "-c", 'rm -rf "$1" &', "sh", str(folder)], start_new_session=True):
        pass


class Process:
    """A server that was started here; ``log`` is where it explains itself."""

    def __init__(self, process: subprocess.Popen[bytes], *, log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, answers: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait until the server answers; its log is the message when it does not."""
        deadline = time.monotonic() + seconds
        while not answers():
            assert self.running, f"{self.log.stem} ended: {self.tail()}"
            assert time.monotonic() < deadline, f"{self.log.stem} does not answer: {self.tail()}"
            time.sleep(0.05)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self, *, seconds: float = 20, kill: bool = False) -> None:
        """End it (SIGTERM, SIGKILL if it does not listen or ``kill``) and wait for that."""
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
