"""The live table: a row for each target, and one line for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from bake.progress.events import (
    BakeEnded,
    BakeStarted,
    Cancelling,
    State,
    Step,
    StepAnnounced,
    StepBytes,
    StepEnded,
    StepKind,
    StepLog,
    StepStarted,
    Tick,
    Warned,
)
from bake.progress.state import TargetProgress, target_progress
from bake.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType

    from bake.progress.events import Event

_MARKS = {
    State.WAITING: ("·", "dim"),
    State.RUNNING: ("▶", "cyan"),
    State.CACHED: ("✓", "green"),
    State.DONE: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
    State.CANCELLED: ("-", "yellow"),
}


class LiveTable:
    """A listener that draws; use it as a context manager.

    Args:
        stream: the terminal. environment: for NO_COLOR. width: columns, the terminal's own when None.

    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str], width: int | None = None) -> None:
        from rich.live import Live

        from bake.progress.console import SafeConsole

        self.console: Console = SafeConsole(
            file=stream, highlight=False, no_color=bool(environment.get("NO_COLOR")) or None, width=width
        )
        self._live = Live(console=self.console, auto_refresh=False, transient=False, vertical_overflow="crop")
        self._steps: dict[tuple[str, str], Step] = {}
        self._last: dict[str, str] = {}
        self._begun = 0.0
        self._now = 0.0
        self._drawn = 0.0
        self._note = ""

    def __enter__(self) -> LiveTable:  # noqa: PYI034 - typing.Self is 3.11
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(self.render(), refresh=True)
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take an event in, and draw at most ten times a second."""
        self._now = event.at
        if isinstance(event, StepAnnounced | StepStarted | StepEnded | StepBytes):
            self._steps[event.step.digest, event.step.name] = event.step
        elif isinstance(event, StepLog):
            self._last[event.step.digest] = event.line.strip() or self._last.get(event.step.digest, "")
        elif isinstance(event, BakeStarted):
            self._begun = event.at
        elif isinstance(event, Cancelling):
            self._note = f"{event.signal}: ending the build"
        elif isinstance(event, BakeEnded):
            self._note = f"bake {event.state.value}"
        elif isinstance(event, Warned):
            self.console.print(f"warning: {event.message}", markup=False)
        if not isinstance(event, Tick) or event.at - self._drawn < 0.1:  # noqa: PLR2004 - ten times a second
            return
        self._drawn = event.at
        self._live.update(self.render(), refresh=True)

    def render(self) -> RenderableType:
        """Draw the table as it stands."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text as Line

        table = Table(box=None, padding=(0, 1), expand=True, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        rows = self._rows()
        for row in rows[-self._height() :]:
            mark, style = _MARKS[row.state]
            cached = f" ({row.cached} cached)" if row.cached and row.state is not State.CACHED else ""
            elapsed = "cached" if row.state is State.CACHED else duration(row.seconds(self._now))
            table.add_row(
                Line(f"{mark} {row.name}", style=style),
                f"{row.done}/{row.total}{cached}",
                "" if row.state is State.WAITING else elapsed,
                Line(self._doing(row), style="dim" if row.state is not State.RUNNING else ""),
            )
        return Group(table, Line(self._overall(rows), style="bold", no_wrap=True, overflow="ellipsis"))

    def _rows(self) -> list[TargetProgress]:
        grouped: dict[str, list[Step]] = {}
        for step in self._steps.values():
            if step.target:
                grouped.setdefault(step.target, []).append(step)
        rows = [target_progress(name, steps) for name, steps in grouped.items()]
        if len(rows) <= self._height():
            return rows
        order = {State.CACHED: 0, State.DONE: 1, State.WAITING: 2, State.RUNNING: 3}
        return sorted(rows, key=lambda row: order.get(row.state, 4))  # what goes on stays in sight

    def _height(self) -> int:
        return max(3, self.console.size.height - 3)

    def _doing(self, row: TargetProgress) -> str:
        step = row.current
        if step is None:
            return f"waits for {', '.join(row.waits_for)}" if row.waits_for and not row.state.ended else row.state.value
        moved = f" {size(step.current)}" if step.current and step.kind is not StepKind.INSTRUCTION else ""
        of = f" of {size(step.total)}" if moved and step.total > step.current else ""
        last = self._last.get(step.digest, "")
        return f"{step.title[:60]}{moved}{of}" + (f" | {last}" if last else "")

    def _overall(self, rows: list[TargetProgress]) -> str:
        done = sum(row.state in (State.DONE, State.CACHED) for row in rows)
        running = sum(row.state is State.RUNNING for row in rows)
        text = f"{duration(max(0.0, self._now - self._begun))}  {done} of {len(rows)} targets done, {running} running"
        return f"{text}  {self._note}" if self._note else text
