"""Shows a fetch on standard error: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from bake.progress.display import ProgressMode, settle_mode
from bake.progress.escapes import printable
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.progress import Progress, TaskID

    from bake.assets.fetch import Watcher
    from bake.assets.request import Request

TENTH = 10  # per cent between two lines
SILENCE = 30.0  # seconds between two lines of a slow transfer


@contextmanager
def shown(stream: TextIO | None = None, environment: Mapping[str, str] = os.environ) -> Iterator[Watcher]:
    """Open a display; yields what to hand to ``fetch``."""
    target = stream if stream is not None else sys.stderr
    if settle_mode(ProgressMode.AUTO, target, environment) is ProgressMode.PLAIN:
        yield Lines(target)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from bake.progress.console import SafeConsole

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=SafeConsole(file=target, highlight=False)) as progress:
        yield Bar(progress)


class Bar:
    """One bar for each asset."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._task: TaskID | None = None

    def began(self, request: Request, url: str, there: int, total: int | None) -> None:
        """Open the asset's bar, or set it to what is there."""
        if request.name not in self._tasks:
            self._tasks[request.name] = self._progress.add_task(request.file, total=total)
            self.said(f"{request.name}: from {url}")
        self._task = self._tasks[request.name]
        self._progress.update(self._task, completed=there, total=total)

    def came(self, count: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def said(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, soft_wrap=True)


class Lines:
    """A line at the start, at each tenth, and after a silence."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._name = ""
        self._there = 0
        self._total: int | None = None
        self._tenth = 0
        self._last = 0.0

    def began(self, request: Request, url: str, there: int, total: int | None) -> None:
        """Say where the bytes come from."""
        self._name, self._there, self._total = request.name, there, total
        self._tenth, self._last = self._percent() // TENTH, self._clock()
        of = size(total) if total is not None else "unknown size"
        self.said(f"{request.name}: {f'going on at {size(there)}, ' if there else ''}{of}, from {url}")

    def came(self, count: int) -> None:
        """Count, and speak when a tenth is full or it has been silent for long."""
        self._there += count
        tenth, now = self._percent() // TENTH, self._clock()
        if tenth > self._tenth or now - self._last >= SILENCE:
            self._tenth, self._last = tenth, now
            percent = f" ({self._percent()} %)" if self._total else ""
            self.said(f"{self._name}: {size(self._there)}{percent}")

    def said(self, text: str) -> None:
        """Write a line."""
        self._stream.write(printable(text) + "\n")
        self._stream.flush()

    def _percent(self) -> int:
        return self._there * 100 // self._total if self._total else 0
