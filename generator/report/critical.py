"""The critical path: the chain of steps that determined how long the bake took. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator.plan.names import IMAGE, VERIFY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from generator.report.spans import Span

# Clocks of two targets agree this well; a step begins some milliseconds after what it waited for.
_TOLERANCE = 0.1
# Publishing is a second bake, begun when verification has passed: no link of the graph says so.
_AFTER: dict[str, frozenset[str]] = {IMAGE: frozenset({VERIFY})}


@dataclass(frozen=True, kw_only=True)
class PathStep:
    """A step of the critical path; times in seconds.

    Args:
        start: since the bake began. wait: from the end of the step before it (or the bake's beginning) until it
            began. seconds: what it adds to the path.
    """

    target: str
    name: str
    start: float
    wait: float
    seconds: float


def critical_path(spans: Sequence[Span], needs: Mapping[str, frozenset[str]] | None) -> tuple[PathStep, ...]:
    """Walk back from the step that ended last, each time to the one that it waited for: which ended last before it.

    Args:
        spans: the steps. needs: all targets that each target needs; None: not known, any step may wait for any.

    Returns:
        the path from the first step to the last; waits and seconds together never exceed the end of the last.
    """
    ran = [span for span in spans if not span.cached and span.seconds > 0]
    if not ran:
        return ()
    chain = [max(ran, key=lambda span: (span.end, span.start))]
    while True:
        current = chain[-1]
        before = [span for span in _candidates(ran, current, needs) if _precedes(span, current)]
        if not before:
            break
        chain.append(max(before, key=lambda span: (span.end, span.start)))
    chain.reverse()
    return tuple(_counted(chain))


def _candidates(spans: Iterable[Span], current: Span, needs: Mapping[str, frozenset[str]] | None) -> Iterable[Span]:
    if needs is None:
        return spans
    known = needs.get(current.target, frozenset()) | {current.target}
    if current.kind in ("export", "cache"):
        known |= _AFTER.get(current.target, frozenset())
    return (span for span in spans if span.target in known)


def _precedes(span: Span, current: Span) -> bool:
    # A step that begins later is no predecessor, however short it is: the walk has to end.
    return span.start < current.start and span.end <= current.start + _TOLERANCE


def _counted(chain: Sequence[Span]) -> Iterable[PathStep]:
    reached = 0.0
    for span in chain:
        begin = max(reached, span.start)  # what the tolerance lets overlap counts once
        end = max(begin, span.end)
        yield PathStep(target=span.target, name=span.name, start=begin, wait=begin - reached, seconds=end - begin)
        reached = end
