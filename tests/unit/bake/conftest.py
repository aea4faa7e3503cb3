from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bake.bakefile import BakeFile
from bake.progress.state import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from bake.progress.events import Event

STREAMS = Path(__file__).parent / "streams"
LINKS = {
    "base": frozenset[str](),
    "a": frozenset({"base"}),
    "b": frozenset({"base"}),
    "c": frozenset({"a", "b"}),
    "bad": frozenset({"base"}),
    "slow": frozenset({"base"}),
    "image": frozenset({"bad", "slow"}),
    "e": frozenset[str](),
}
NAMES = BakeFile(variables=("TAG",), targets=tuple(LINKS), groups=("default",), links=LINKS)


@pytest.fixture
def replay() -> Callable[..., tuple[Progress, list[Event]]]:
    """Feed a recorded stream of real BuildKit (engine 28.5, buildx 0.29) to the parser."""

    def feed(name: str, requested: tuple[str, ...] = ("default",)) -> tuple[Progress, list[Event]]:
        progress = Progress(names=NAMES, requested=requested)
        events: list[Event] = []
        for number, line in enumerate((STREAMS / f"{name}.jsonl").read_text().splitlines(keepends=True)):
            events += progress.feed(line, now=1000.0 + number / 100)
        return progress, events

    return feed
