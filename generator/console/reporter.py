"""The one object that owns the terminal: data to stdout, everything else to stderr.

What it is given may hold text of others; no control sequence and no command to a CI system in it comes through.

Meaning never rests on colour alone; ``NO_COLOR`` and a missing terminal are honoured by rich itself.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from bake.progress.escapes import printable, printable_document
from generator.console import github

if TYPE_CHECKING:
    from rich.console import Console

    from bake.errors import UpliftError

LOG_WIDTH = 160  # columns of a table that goes to a file or a pipe


class Reporter:
    """Writes data, notes, warnings and failures to the right stream.

    Args:
        stdout: where data goes. stderr: where everything else goes.
    """

    def __init__(self, *, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._console: Console | None = None
        self._data: Console | None = None

    @property
    def console(self) -> Console:
        """The rich console on stderr: notes, progress, failures."""
        if self._console is None:
            from bake.progress.console import SafeConsole

            self._console = SafeConsole(file=self._stderr or sys.stderr, highlight=False, soft_wrap=True)
        return self._console

    @property
    def data_console(self) -> Console:
        """The rich console on stdout: tables that are the command's result."""
        if self._data is None:
            from bake.progress.console import SafeConsole

            stream = self._stdout or sys.stdout
            # Without a terminal rich would fold tables at 80 columns; a log has room for more.
            self._data = SafeConsole(file=stream, highlight=False, width=None if stream.isatty() else LOG_WIDTH)
        return self._data

    def data(self, text: str) -> None:
        """Write a result to stdout."""
        self._write(printable(text))

    def document(self, text: str) -> None:
        """Write a result in a format for programs to stdout; JSON and XML mean what they did."""
        self._write(printable_document(text))

    def _write(self, text: str) -> None:
        stream = self._stdout or sys.stdout
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()

    def note(self, text: str) -> None:
        """Say something worth knowing, on stderr."""
        self._say(printable(text))

    def _say(self, text: str) -> None:
        stream = self._stderr or sys.stderr
        stream.write(text + "\n")
        stream.flush()

    def warning(self, text: str) -> None:
        """Say what may be wrong but does not stop the work; under GitHub Actions, as an annotation too."""
        self.note(f"warning: {text}")
        if github.is_active(os.environ):
            self._say(github.warning(text))

    def failure(self, error: UpliftError) -> None:
        """Show a failure: what, where, what to do; under GitHub Actions, as annotations too."""
        self.note(f"error: {error}")
        if github.is_active(os.environ):
            for line in github.failure_annotations(error):
                self._say(line)
