"""Runs one input within bounds of time, and says what is wrong with how that went."""

from __future__ import annotations

import signal
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import UpliftError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.targets import Target

SECONDS = 5.0  # of processor time for one input
WAITED = 60.0  # of the clock: it waits for something that won't come
_TOP = Path(__file__).parents[2]


class TooLongError(BaseException):
    """One input took more time than any may; no ``except Exception`` of the code under test takes it."""


@dataclass(frozen=True)
class Finding:
    """What one input brought about; findings of one ``place`` count as the same."""

    place: str
    text: str


def finding(target: Target, content: bytes) -> Finding | None:
    """Feed a target; None where all went as it may."""
    try:
        with _within_time():
            target.feed(content)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever else it is, it is a finding
        if isinstance(error, (UpliftError, *target.documented)):
            return None
        return Finding(_place(error), "".join(traceback.format_exception(error)))
    return None


def _place(error: BaseException) -> str:
    """Kind of the error, and the innermost line of this repository that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_TOP) and "/.venv/" not in frame.filename]
    inner = [frame for frame in ours if not Path(frame.filename).is_relative_to(_TOP / "tests")] or ours
    last = inner[-1] if inner else frames[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


@contextmanager
def _within_time() -> Iterator[None]:
    def over(*_: object) -> None:
        raise TooLongError

    clocks = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, WAITED))
    before = [signal.signal(number, over) for number, _, _ in clocks]
    try:
        for _, clock, seconds in clocks:
            signal.setitimer(clock, seconds)
        yield
    finally:
        for (number, clock, _), handler in zip(clocks, before, strict=True):
            signal.setitimer(clock, 0)
            signal.signal(number, handler)
