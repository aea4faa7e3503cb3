"""Tries again what may pass: how often, after how long, and what is said of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How often something is tried, at most, and how many seconds all waits between the tries may take.

    The waits double, from ``first`` seconds on, unless the other side says how long.
    """

    tries: int = 6
    wait: float = 120.0
    first: float = 2.0

    def delay(self, number: int, asked: float | None) -> float:
        """Seconds to wait after try ``number``; ``asked``: what the other side asks for (Retry-After)."""
        return max(asked or 0.0, self.first * 2.0 ** (number - 1))


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why a try failed.

    Args:
        reason: for people. passing: it may go away by itself. after: seconds that the other side asks to wait.
            most: how often in a row it may be the reason, None for as often as the policy has it.

    """

    reason: str
    passing: bool = True
    after: float | None = None
    most: int | None = None


@dataclass(frozen=True, kw_only=True)
class Try:
    """One try: when it began (seconds since the epoch), how long it took, and why it failed ("": it did not)."""

    number: int
    at: float
    seconds: float
    error: str = ""


def retried(
    once: Callable[[], T],
    judge: Callable[[T], Trouble | None],
    policy: Policy,
    say: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[T, tuple[Try, ...]]:
    """Do something until it is done, or has failed for good.

    Args:
        once: does it. judge: tells what went wrong with a result; None: nothing. policy: how often and how long.
        say: told why a try failed and when the next one begins.

    Returns:
        the last result, and all tries.

    """
    tries: list[Try] = []
    waited, repeats, last = 0.0, 0, ""
    while True:
        at, started = time.time(), time.monotonic()
        result = once()
        trouble = judge(result)
        error = trouble.reason if trouble else ""
        tries.append(Try(number=len(tries) + 1, at=at, seconds=time.monotonic() - started, error=error))
        repeats = repeats + 1 if error == last else 1
        last = error
        over = trouble is None or not trouble.passing or len(tries) >= policy.tries
        if trouble is None or over or (trouble.most is not None and repeats > trouble.most):
            return result, tuple(tries)
        delay = policy.delay(len(tries), trouble.after)
        head = f"try {len(tries)} of {policy.tries} failed: {error}"
        if waited + delay > policy.wait:
            say(f"{head}; given up: waiting {delay:.0f} s more would pass the limit of {policy.wait:.0f} s")
            return result, tuple(tries)
        say(f"{head}; again in {delay:.0f} s")
        sleep(delay)
        waited += delay
