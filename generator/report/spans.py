"""The steps of a recorded bake on one clock, each once. Pure.

buildx gives every target a clock of its own: it moves a target's first step to the moment at which it hears of it.
So one step has as many starts as there are targets that need it, up to a second apart, and a step can seem to begin
before what it needs has ended. What targets share tells how their clocks differ; here they are set to one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bake.buildx.results import Results, StepResult

# Kinds of step that do work; a build definition is read by buildx itself, within a blink.
WORK = ("instruction", "export", "cache", "other")
_SAME = 0.25  # seconds; two records of one step begin this close together


@dataclass(frozen=True, kw_only=True)
class Span:
    """A step that ran; ``start`` and ``end`` in seconds since the bake began."""

    target: str
    name: str
    kind: str
    start: float
    end: float
    cached: bool
    state: str

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self.end - self.start


def spans_of(results: Results, *, started: float, wall: float) -> tuple[Span, ...]:
    """List the steps that have times, in order of their start.

    Args:
        results: the record. started: when the bake began, in seconds since the epoch. wall: its length in seconds.
    """
    records = {target: results.steps_of(target, shared=True) for target in results.targets}
    shifts = clock_shifts(records)
    found: dict[tuple[str, str], Span] = {}
    for target, steps in records.items():
        for step in steps:
            if not step.shared_with:
                span = _span(target, step, started + shifts[target], wall)
                known = found.get((target, step.name))
                if span and (known is None or span.seconds > known.seconds):
                    found[target, step.name] = span
    for target, steps in records.items():
        for step in steps:
            span = _span(step.shared_with, step, started + shifts[target], wall) if step.shared_with else None
            known = found.get((span.target, span.name)) if span else None
            # A merge of layers is done when somebody needs it: only who did so saw how long it took.
            if span and known and abs(span.start - known.start) < _SAME and span.end > known.end + _SAME:
                found[known.target, known.name] = replace(known, end=span.end)
    return tuple(sorted(found.values(), key=lambda span: (span.start, span.end, span.target, span.name)))


def clock_shifts(records: Mapping[str, Iterable[StepResult]]) -> dict[str, float]:
    """Say by how many seconds the times of each target are too late, from the steps that targets share."""
    own = {
        (target, step.name): step.started for target, steps in records.items() for step in steps if not step.shared_with
    }
    apart: dict[tuple[str, str], list[float]] = {}
    for target, steps in records.items():
        for step in steps:
            there = own.get((step.shared_with, step.name))
            if step.shared_with and there is not None and step.started is not None:
                apart.setdefault((step.shared_with, target), []).append(step.started - there)
    links: dict[str, dict[str, float]] = {target: {} for target in records}
    for (owner, target), found in apart.items():
        links[target][owner] = -median(found)
        links[owner][target] = median(found)
    shifts: dict[str, float] = {}
    for first in records:
        if first not in shifts:
            shifts |= _connected(first, links)
    return shifts


def _connected(first: str, links: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Shifts of all targets that share steps with one; the earliest clock is right, since no time is moved forward."""
    shifts = {first: 0.0}
    waiting = [first]
    for target in waiting:
        for other, difference in links[target].items():
            if other not in shifts:
                shifts[other] = shifts[target] + difference
                waiting.append(other)
    earliest = min(shifts.values())
    return {target: shift - earliest for target, shift in shifts.items()}


def _span(target: str, step: StepResult, zero: float, wall: float) -> Span | None:
    # The sending of a context is BuildKit's own, and can be long.
    works = step.kind in WORK or step.name.startswith("load build context")
    if step.started is None or step.completed is None or not works:
        return None
    start = min(max(0.0, step.started - zero), wall)
    end = min(max(start, step.completed - zero), wall)
    return Span(
        target=target, name=step.name, kind=step.kind, start=start, end=end, cached=step.cached, state=step.state
    )
