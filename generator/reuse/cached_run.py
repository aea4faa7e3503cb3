"""Runs what a bake has just made once more, to send it somewhere: nothing may compile for that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from generator.job import Job, run
from generator.reuse.steps import compiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bake.buildx.driver import BakeOutcome

_MORE_TRIES, _PAUSE = 3, 1.0  # seconds


def run_cached(job: Job, targets: tuple[str, ...], overrides: Mapping[str, str]) -> BakeOutcome:
    """Run a bake that may not compile: what the builder has dropped meanwhile is not worth that.

    A bake that starts right behind another one can miss, once, what that one just made (seen with Engine 28.5): it is
    tried again.
    """
    outcome = run(job, targets, overrides=overrides, refuse=compiles)
    for _ in range(_MORE_TRIES):
        if not outcome.refused:
            break
        time.sleep(_PAUSE)
        outcome = run(job, targets, overrides=overrides, refuse=compiles)
    return outcome
