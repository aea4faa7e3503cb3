"""Compiler caches in a store: loaded for the wheels that have to be compiled, saved of those that were.

Code of the base writes what a compiler cache holds: each recipe on each base has its own, as it has cache mounts.
None of this can fail a bake: what does not work is a warning.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from generator.job import Job, Wheel, run
from generator.plan.names import COMPILER_CACHE, MOMENT, TOOLCHAIN, load_stage, save_stage
from generator.plan.specs import compiler_cache_variable
from generator.reuse.cached_run import run_cached
from generator.reuse.steps import digest_of, first_line, raise_if_interrupted
from generator.reuse.store import CACHE, Store, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable


_DIGITS = 16  # of the hash of the scope in a tag: 64 bits


def lacks(job: Job, wheel: Wheel) -> bool:
    """Tell whether there is a store, and it has no compiler cache for a wheel."""
    saved = _store(job)
    return saved is not None and saved.look_up(tag(job, wheel)).absent


def tag(job: Job, wheel: Wheel) -> str:
    """Give the tag of a wheel's compiler cache. The same base has another name in a mirror, and the same digest."""
    scope = job.graph.cache_scope(job.preflight.base.rpartition("@")[2])
    return f"{wheel.extension}-{hashlib.sha256(scope.encode()).hexdigest()[:_DIGITS]}"


def load(job: Job, wanted: tuple[Wheel, ...]) -> None:
    """Fill this builder's compiler cache with what was saved for wheels that no store has."""
    saved = _store(job)
    if saved is None:
        return
    for wheel in wanted:
        found = saved.look_up(tag(job, wheel))
        if found.trouble:
            return
        if found.refused:
            job.reporter.warning(f"the compiler cache of {wheel.extension} is not taken: {found.refused}")
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
    """Save the compiler caches of wheels that were compiled; none where caches are only read."""
    saved = _store(job)
    if saved is None or job.preflight.caches.readonly:
        return
    for wheel in fresh:
        overrides = {**_stage(save_stage(wheel.extension)), f"{COMPILER_CACHE}.output": saved.output(tag(job, wheel))}
        outcome = run_cached(job, (COMPILER_CACHE,), overrides)
        if outcome.failure is not None:
            raise_if_interrupted(outcome)
            job.reporter.warning(f"the compiler cache of {wheel.extension} was not saved: {first_line(outcome)}")
        elif why := saved.sign(tag(job, wheel), digest_of(outcome, COMPILER_CACHE)):
            job.reporter.warning(f"the compiler cache of {wheel.extension} is saved without a signature: {why}")


def _store(job: Job) -> Store | None:
    return store_of(job.preflight.caches.compiler_cache, job.facts, CACHE)


def _stage(name: str) -> dict[str, str]:
    """Choose a stage of the compiler cache's target; what it looks at is in no cache key, so it runs each time."""
    return {f"{COMPILER_CACHE}.target": name, f"{COMPILER_CACHE}.args.{MOMENT}": str(time.time_ns())}
