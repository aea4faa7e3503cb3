"""Shows a bake on standard error: live on a terminal, line by line elsewhere, or as JSON events."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

from bake.progress.escapes import printable, printable_document
from bake.progress.events import (
    BakeEnded,
    BakeStarted,
    Cancelling,
    State,
    Step,
    StepAnnounced,
    StepEnded,
    StepKind,
    StepLog,
    StepStarted,
    Tick,
    Warned,
)
from bake.progress.live import LiveTable
from bake.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bake.progress.events import Event

HEARTBEAT = 30.0  # seconds between two signs of life of a step that runs long
SHORT = 1.0  # internal steps below this are not worth a line


class ProgressMode(str, Enum):
    """How progress is shown."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


def settle_mode(mode: ProgressMode, stream: TextIO, environment: Mapping[str, str]) -> ProgressMode:
    """Decide what ``auto`` means: rich on a terminal that can move its cursor, plain elsewhere and in CI."""
    if mode is not ProgressMode.AUTO:
        return mode
    dumb = environment.get("TERM", "") in ("", "dumb")
    return ProgressMode.RICH if stream.isatty() and not dumb and not environment.get("CI") else ProgressMode.PLAIN


@contextmanager
def display(
    mode: ProgressMode = ProgressMode.AUTO,
    *,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Callable[[Event], None]]:
    """Open a display; yields the listener to hand to the driver, and puts the terminal right at the end.

    Args:
        mode: auto, rich, plain or json. stream: standard error when None. environment: for TERM, CI and NO_COLOR.

    """
    target = stream if stream is not None else sys.stderr
    settled = settle_mode(mode, target, environment)
    if settled is ProgressMode.JSON:
        yield JsonLines(target)
    elif settled is ProgressMode.PLAIN:
        yield PlainLines(target)
    else:
        with LiveTable(target, environment) as table:
            yield table


class JsonLines:
    """Writes every event but ticks as one JSON object per line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if not isinstance(event, Tick):
            self._stream.write(printable_document(json.dumps(as_data(event))) + "\n")
            self._stream.flush()


def as_data(event: Event) -> dict[str, Any]:
    """Turn an event into plain values: ``{"event": kind, "at": seconds, …}``."""
    return {"event": event.kind, **dataclasses.asdict(event)}


class PlainLines:
    """Writes a line for every step's start and end, and a sign of life for what runs long.

    A step that several targets need is told once, under the target it belongs to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = 0.0
        self._running: dict[str, Step] = {}
        self._said: dict[str, float] = {}
        self._ended: set[tuple[str, State]] = set()
        self._last: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Tell what an event means, if it is worth a line."""
        if isinstance(event, BakeStarted):
            self._begun = event.at
            self._write(event.at, f"bake {' '.join(event.targets)}")
        elif isinstance(event, StepStarted):
            self._started(event)
        elif isinstance(event, StepEnded):
            self._finished(event)
        elif isinstance(event, StepLog):
            if event.line.strip():
                self._last[event.step.digest] = event.line.strip()
        elif isinstance(event, StepAnnounced):
            if event.step.digest in self._running and not event.step.shared:
                self._running[event.step.digest] = dataclasses.replace(
                    event.step, started=self._running[event.step.digest].started
                )
        elif isinstance(event, Tick):
            self._heartbeat(event.at)
        else:
            self._rest(event)

    def _rest(self, event: Event) -> None:
        if isinstance(event, Warned):
            place = f"{event.file}:{event.line}: " if event.file and event.line else ""
            self._write(event.at, f"warning: {place}{event.message}")
        elif isinstance(event, Cancelling):
            self._write(event.at, f"{event.signal}: ending the build")
        elif isinstance(event, BakeEnded):
            self._write(event.at, f"bake {event.state.value} after {duration(event.seconds)}")

    def _started(self, event: StepStarted) -> None:
        step = event.step
        if step.digest in self._running:
            return
        self._running[step.digest] = step
        self._said[step.digest] = event.at
        reads_cache = step.label.startswith("importing cache")
        told = step.kind in (StepKind.INSTRUCTION, StepKind.EXPORT, StepKind.CACHE) and not reads_cache
        if told and not step.state.ended:
            self._write(event.at, _line(step, "started"))

    def _finished(self, event: StepEnded) -> None:
        step = event.step
        was = self._running.pop(step.digest, None)
        if was is not None and not was.shared:
            step = dataclasses.replace(step, target=was.target, owner=was.owner)
        if (step.digest, step.state) in self._ended:
            return
        seconds = step.seconds(event.at)
        dull = step.kind in (StepKind.INTERNAL, StepKind.OTHER) and seconds < SHORT and not step.error
        # A cache that is not there yet is no news; one that can't be read is warned of after the bake.
        dull = dull or (step.kind is StepKind.CACHE and step.state is State.FAILED)
        if dull or (step.kind is StepKind.INTERNAL and step.cached):
            return
        self._ended.add((step.digest, step.state))
        how = step.state.value if step.cached else f"{step.state.value} {duration(seconds)}"
        self._write(event.at, _line(step, how))

    def _heartbeat(self, now: float) -> None:
        for digest, step in self._running.items():
            if now - self._said[digest] >= HEARTBEAT:
                self._said[digest] = now
                self._write(now, _line(step, f"running {duration(step.seconds(now))}", self._last.get(digest, "")))

    def _write(self, at: float, text: str) -> None:
        self._stream.write(f"{max(0.0, at - self._begun):7.1f}s {printable(' '.join(text.splitlines()))}\n")
        self._stream.flush()


def _line(step: Step, how: str, last: str = "") -> str:
    moved = f" {size(step.current)}" if step.current and step.kind is not StepKind.INSTRUCTION else ""
    tail = f" | {last[:160]}" if last else ""
    return f"{step.owner or 'bake'}: {_short(step.title, 120)}: {how}{moved}{tail}"


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
