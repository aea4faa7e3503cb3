"""Bakes: with what can be reused, verified, delivered only after every check passed, and recorded however they end."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING

from bake.errors import BuildFailed, DeadlineReached
from generator.baking.early_export import packed_early
from generator.baking.preflight import pinned_for
from generator.baking.record import record, write_report
from generator.job import Job, run
from generator.plan.names import IMAGE, VERIFY
from generator.plan.specs import verify_json
from generator.reuse import compiler_cache, registry_cache, wheel_store
from generator.reuse.cache_summary import show_proof
from generator.reuse.steps import begun, compiled, is_for_compile, made, raise_if_interrupted
from generator.verification.report import (
    REPORT,
    VerificationReport,
    held_against,
    read_report,
    require_passed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bake.buildx.driver import BakeOutcome
    from generator.baking.archive import Archive
    from generator.baking.delivery import Delivery
    from generator.console.reporter import Reporter
    from generator.job import Rendered
    from generator.resolve.facts import Facts


def show_dry_run(
    reporter: Reporter,
    facts: Facts,
    rendered: Rendered,
    targets: tuple[str, ...],
    *,
    push: bool,
    archive: Archive | None,
) -> None:
    """Say what would be baked; nothing is built."""
    graph = rendered.graph
    needed = {name for target in targets or (VERIFY, IMAGE) for name in (target, *graph.ancestors(target))}
    for name in graph.names:
        if name in needed:
            reporter.data(f"{name}\t{graph[name].description}")
    reporter.note(f"dry run: {rendered.file} is written; nothing was built")
    if not targets:
        saved = f", and saved as {archive.path}" if archive else ""
        reporter.note(f"the image would be {facts.image}{', and pushed' if push else ''}{saved}")


def bake_targets(job: Job, targets: tuple[str, ...], *, require_warm: bool = False) -> None:
    """Bake chosen targets; what they make stays in the build cache and the wheel store, files go where they always do.

    The image is in the cache alone: it gets a name only from a bake that verifies just this one.

    Raises:
        BuildFailed, Interrupted: as for a bake. VerificationFailed: ``verify`` is among them, and a check failed.
    """
    stored = {wheel.target: wheel.reference for wheel in job.reuse.lookup.wheels if wheel.reference}
    for name in targets:
        if name in stored:
            job.reporter.note(f"{name} is in the wheel store: {stored[name]}")
    left = tuple(name for name in targets if name not in stored)
    if not left:
        return
    overrides = {f"{IMAGE}.output": "type=cacheonly"} if IMAGE in left else {}
    job, outcome, path = _build(job, left, require_warm=require_warm, overrides=overrides)
    outcome.raise_for_failure()
    if VERIFY in left:
        require_passed(_report(job, job.facts.image))
    if IMAGE in left:
        job.reporter.note(
            f"the image has no name, it is in the build cache alone: `bake` verifies it as {job.facts.image}"
        )
    job.reporter.note(f"baked {', '.join(left)} in {outcome.seconds:.1f} s; every step is in {path}")


def bake_verified(job: Job, delivery: Delivery, *, require_warm: bool = False) -> None:
    """Build and verify; the image gets its name, wherever it goes, only after every check passed."""
    with packed_early(job, unpacked=delivery.unpacked) as early, delivery.pending(job) as told:
        targets = (VERIFY, *delivery.targets, *early.targets)
        overrides = {**delivery.overrides, **early.overrides}
        job, built, path = _build(job, targets, require_warm=require_warm, overrides=overrides, told=told)
        built.raise_for_failure()
        report = _report(job, job.facts.image)
        require_passed(report)
        job = dataclasses.replace(job, report=report)
        delivered = delivery.deliver(job, built)
        record(job, built, delivered.outcome, more=delivered.record)
        delivered.outcome.raise_for_failure()
    job.reporter.data(delivered.data)
    job.reporter.note(
        f"{job.facts.image} is verified and {delivered.place} ({built.seconds + delivered.outcome.seconds:.1f} s); "
        f"checks in {job.folder / VERIFY / REPORT}, every step in {path}"
    )


def warm(job: Job) -> None:
    """Build and verify, so that all caches are full and the wheels are in the store; export no image.

    Raises:
        EnvironmentUnfit: a wheel could not be pushed. BuildFailed, VerificationFailed, Interrupted: as for a bake.
    """
    job, built, path = _build(job, (VERIFY,), keeping_required=True)
    built.raise_for_failure()
    require_passed(_report(job, job.facts.image))
    job.reporter.note(f"warm in {built.seconds:.1f} s: a bake of the same recipe compiles nothing; see {path}")


def check(job: Job, *, image: str | None) -> VerificationReport:
    """Run the checks on an image by name; None: on the recipe's, as the bake file builds it."""
    found = image if image is None or job.preflight.own_builder else pinned_for(job.facts, image)
    overrides = {} if found is None else {f"{VERIFY}.contexts.image": f"docker-image://{found}"}
    outcome = run(job, (VERIFY,), overrides=overrides)
    outcome.raise_for_failure()
    return _report(job, image or job.facts.image)


def _build(
    job: Job,
    targets: tuple[str, ...],
    *,
    require_warm: bool = False,
    keeping_required: bool = False,
    overrides: Mapping[str, str] | None = None,
    told: Callable[[BakeOutcome], None] = lambda _: None,
) -> tuple[Job, BakeOutcome, Path]:
    """Bake with what can be reused, keep what is new, and record both; the outcome may be a failure.

    Args:
        told: is given the outcome as soon as there is one.

    Returns:
        the job, without those wheels that a store could not give after all; how it went; the record.
    """
    needed = {name for target in targets for name in (target, *job.graph.ancestors(target))}
    missing = tuple(wheel for wheel in job.reuse.lookup.missing if wheel.target in needed)
    if missing and not require_warm:
        compiler_cache.load(job, missing)
    refuse = is_for_compile if require_warm else None
    bake = partial(run, targets=targets, overrides=overrides, refuse=refuse, fills_cache=True)
    outcome = bake(job, deadline=job.facts.deadline)
    if (left := wheel_store.without_broken(job, outcome)) is not None:
        job = dataclasses.replace(job, reuse=left)
        outcome = bake(job, deadline=job.facts.deadline)
    told(outcome)
    path = record(job, outcome)
    if outcome.refused:
        raise _not_warm(job, outcome)
    registry_cache.mark(job, outcome)
    if (mended := registry_cache.without_gaps(job, outcome)) is not None:
        again = dataclasses.replace(job, reuse=mended)
        # What was made, verified and sent stays as it is.
        nothing = {f"{name}.output": "type=cacheonly" for name in targets}
        filled = run(again, targets, overrides={**(overrides or {}), **nothing}, fills_cache=True)
        raise_if_interrupted(filled)
        registry_cache.mark(again, filled)
    pushed = _keep(job, outcome, required=keeping_required)
    show_proof(job.reporter, outcome, job.reuse.lookup, pushed)
    return job, outcome, path


def _keep(job: Job, outcome: BakeOutcome, *, required: bool) -> tuple[str, ...]:
    """Push the wheels that the stores lacked, and save the compiler caches of those that were compiled.

    Both happen when another target failed, too. A wheel that an earlier bake compiled, before a store was named, brings
    its compiler cache along if there is none. Where the deadline came, the compiler caches of half-compiled ones are
    saved as well: the next bake goes on from there.

    Args:
        required: a wheel that can't be pushed is a failure.

    Returns:
        the targets whose wheels were pushed.
    """
    done, fresh = made(outcome, job.reuse.lookup.missing), compiled(outcome)
    if isinstance(outcome.failure, DeadlineReached):
        half = begun(outcome) - {wheel.target for wheel in done}
        compiler_cache.save(job, [wheel for wheel in job.reuse.lookup.missing if wheel.target in half])
    pushed = wheel_store.push(job, done, required=required)
    compiler_cache.save(
        job, [w for w in done if w.target in fresh or (w.target in pushed and compiler_cache.lacks(job, w))]
    )
    return pushed


def _not_warm(job: Job, outcome: BakeOutcome) -> BuildFailed:
    missing = ", ".join(f"{wheel.target} (key {wheel.key.digest[:12]})" for wheel in job.reuse.lookup.missing)
    store = job.preflight.caches.wheels or "no wheel store is named"
    return BuildFailed(
        f"{outcome.failure}; not in the wheel store ({store}): {missing or 'nothing'}",
        where="--require-warm",
        remedy="run `warm` for this recipe and registry where it may compile; `plan --why TARGET` says what changed",
    )


def _report(job: Job, image: str) -> VerificationReport:
    """Read the report, hold it against the recipe, and write what came of it, for CI systems too, passed or not."""
    found = read_report(job.folder / VERIFY, image=image)
    report = held_against(found, json.loads(verify_json(job.recipe)))
    write_report(job.folder, report)
    return report
