"""Compiler caches in a store: loaded for the wheels that have to be compiled, saved of those that were.

None of this can fail a bake: what does not work is a warning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from generator.job import Job, Wheel, run
from generator.plan.names import COMPILER_CACHE, MOMENT, TOOLCHAIN, load_stage, save_stage
from generator.plan.specs import compiler_cache_variable
from generator.reuse.cached_run import run_cached
from generator.reuse.steps import first_line, raise_if_interrupted
from generator.reuse.store import Store, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def store(job: Job) -> Store | None:
    """Give the store of compiler caches; names are extensions. None where there is none."""
    return store_of(job.preflight.caches.compiler_cache, job.facts)


def load(job: Job, wanted: tuple[Wheel, ...]) -> None:
    """Fill this builder's compiler cache with what was saved for wheels that no store has."""
    saved = store(job)
    if saved is None:
        return
    for wheel in wanted:
        found = saved.look_up(wheel.extension)
        if found.trouble:
            return
        if found.absent:
            continue
        image = f"docker-image://{found.reference}"
        outcome = run(
            job,
            (COMPILER_CACHE,),
            variables={compiler_cache_variable(wheel.extension): image},
            # Loading needs no toolchain: that is made beside torch, by the bake that follows.
            overrides={
                **_stage(load_stage(wheel.extension)),
                f"{COMPILER_CACHE}.contexts.{TOOLCHAIN}": f"docker-image://{job.preflight.base}",
            },
        )
        if outcome.failure is not None:
            raise_if_interrupted(outcome)
            job.reporter.warning(f"the compiler cache {image} could not be loaded: {first_line(outcome)}")


def save(job: Job, fresh: Iterable[Wheel]) -> None:
    """Save the compiler caches of wheels that were compiled."""
    saved = store(job)
    if saved is None:
        return
    for wheel in fresh:
        overrides = {**_stage(save_stage(wheel.extension)), f"{COMPILER_CACHE}.output": saved.output(wheel.extension)}
        outcome = run_cached(job, (COMPILER_CACHE,), overrides)
        if outcome.failure is not None:
            raise_if_interrupted(outcome)
            job.reporter.warning(f"the compiler cache of {wheel.extension} was not saved: {first_line(outcome)}")


def _stage(name: str) -> dict[str, str]:
    """Choose a stage of the compiler cache's target; what it looks at is in no cache key, so it runs each time."""
    return {f"{COMPILER_CACHE}.target": name, f"{COMPILER_CACHE}.args.{MOMENT}": str(time.time_ns())}
