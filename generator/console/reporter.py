"""The one object that owns the terminal: data to stdout, everything else to stderr.

Meaning never rests on colour alone; ``NO_COLOR`` and a missing terminal are honoured by rich itself.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

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
            from rich.console import Console

            self._console = Console(file=self._stderr or sys.stderr, highlight=False, soft_wrap=True)
        return self._console

    @property
    def data_console(self) -> Console:
        """The rich console on stdout: tables that are the command's result."""
        if self._data is None:
            from rich.console import Console

            stream = self._stdout or sys.stdout
            # Without a terminal rich would fold tables at 80 columns; a log has room for more.
            self._data = Console(file=stream, highlight=False, width=None if stream.isatty() else LOG_WIDTH)
        return self._data

    def data(self, text: str) -> None:
        """Write a result, as it is, to stdout."""
        stream = self._stdout or sys.stdout
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()

    def note(self, text: str) -> None:
        """Say something worth knowing, on stderr."""
        stream = self._stderr or sys.stderr
        stream.write(text + "\n")
        stream.flush()

    def warning(self, text: str) -> None:
        """Say what may be wrong but does not stop the work; under GitHub Actions, as an annotation too."""
        self.note(f"warning: {text}")
        if github.is_active(os.environ):
            self.note(github.warning(text))

    def failure(self, error: UpliftError) -> None:
        """Show a failure: what, where, what to do; under GitHub Actions, as annotations too."""
        self.note(f"error: {error}")
        if github.is_active(os.environ):
            for line in github.failure_annotations(error):
                self.note(line)
