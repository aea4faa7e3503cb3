"""Makes stdin, stdout and stderr fit to be used: closed ones, a full disk behind one, and a pipe that nobody reads."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator

# Opened the wrong way round where a stream is closed, no other file gets its number, and its use still fails.
_CLOSED = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


def prepare() -> None:
    """Take the process's streams over; from now on no use of them ends in a traceback.

    A result that can't be written to stdout is a failure, and a reader who has gone a quiet end; what can't be written
    to stderr is left out. A closed stdin is an empty one.
    """
    for number, mode in _CLOSED.items():
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free
    sys.stdin = sys.stdin or io.StringIO()
    out = sys.stdout.encoding if sys.stdout else "utf-8"
    sys.stdout = _Results(_opened(1), encoding=out, errors="backslashreplace", line_buffering=os.isatty(1))
    err = sys.stderr.encoding if sys.stderr else "utf-8"
    sys.stderr = _Remarks(_opened(2), encoding=err, errors="backslashreplace", line_buffering=True)


def _opened(number: int) -> io.BufferedWriter:
    return io.BufferedWriter(io.FileIO(number, "w", closefd=False))


class _Results(io.TextIOWrapper):
    """Stdout."""

    def write(self, text: str) -> int:
        """Write a text, or say why that can't be."""
        with self._told():
            return super().write(text)

    def flush(self) -> None:
        """Hand on what was written, or say why that can't be."""
        with self._told():
            super().flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _discard(1)
            if isinstance(error, BrokenPipeError):
                raise SystemExit(128 + signal.SIGPIPE) from None
            raise EnvironmentUnfit(
                f"stdout can't be written: {error.strerror or error}",
                remedy="send it to a terminal, a pipe, or a file on a disk with room",
            ) from None


class _Remarks(io.TextIOWrapper):
    """Stderr."""

    def write(self, text: str) -> int:
        """Write a text where that can be."""
        try:
            return super().write(text)
        except OSError:
            _discard(2)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written where that can be."""
        try:
            super().flush()
        except OSError:
            _discard(2)


def _discard(number: int) -> None:
    """Let a stream's rest go nowhere: it would fail again when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
