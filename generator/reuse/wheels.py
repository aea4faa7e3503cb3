"""What a bake takes over from earlier ones, and what it leaves for later ones: wheels, compiler caches, cached steps.

Before the bake the wheel stores are asked, and compiler caches are loaded for what they lack; after it, new wheels are
pushed, also when another target failed, and the compiler caches of what was compiled are saved. None of this can fail a
bake: what does not work is a warning.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit, UpliftError
from generator.compression import FORM
from generator.plan import specs
from generator.plan.keys import keys_of
from generator.plan.names import COMPILE_STAGE, COMPILER_CACHE, MOMENT, TOOLCHAIN, load_stage, save_stage
from generator.reuse import registry_cache
from generator.reuse.registry_cache import registry_of
from generator.reuse.wheel_store import Shelf, Wheel, look_up, push_overrides, wheels_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bake.buildx.driver import BakeOutcome
    from bake.progress.events import Step
    from bake.registry import Answer
    from generator.baking.build import Job
    from generator.plan.keys import Key

_MORE_TRIES, _PAUSE = 3, 1.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """What a bake reuses.

    Args:
        keys: of all its targets. shelf: its compile targets and the stores' wheels. exact: targets whose steps the
            registry cache has for just these inputs, each with the end of the cache's tag.
    """

    keys: Mapping[str, Key] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)
    exact: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Bake variables that put all of it to use."""
        found = ";".join(f"{target}={tag}" for target, tag in self.exact.items())
        return {**self.shelf.variables(), "CACHE_EXACT": found}


def prepare(job: Job) -> Job:
    """Look for wheels, and for cached steps of just these inputs; what was found goes into the job."""
    facts = job.facts
    keys = keys_of(
        job.graph,
        job.files,
        variables=facts.variables(),
        base=facts.base.rpartition("@")[2] or facts.base,
        platform=facts.platform,
    )
    stores = (facts.caches.wheels, facts.caches.wheels_readonly)
    shelf = look_up(wheels_of(job.graph, keys), stores, lambda repository: registry_of(repository, facts))
    for sentence in shelf.warnings:
        job.reporter.warning(sentence)
    job = dataclasses.replace(job, reuse=Reuse(keys=keys, shelf=shelf))
    return dataclasses.replace(job, reuse=dataclasses.replace(job.reuse, exact=registry_cache.exact(job)))


def load_compiler_caches(job: Job, wanted: tuple[Wheel, ...]) -> None:
    """Fill this builder's compiler cache with what was saved for the wheels that no store has."""
    from generator.baking.build import run

    repository = job.facts.caches.compiler_cache
    for wheel in wanted if repository else ():
        answer = _saved(job, wheel)
        if answer is None:
            return
        digest = answer.headers.get("docker-content-digest") if answer.status else None
        if not digest:
            continue
        saved = f"docker-image://{repository}:{wheel.extension}@{digest}"
        outcome = run(
            job,
            (COMPILER_CACHE,),
            variables={specs.compiler_cache_variable(wheel.extension): saved},
            # Loading needs no toolchain: that is made beside torch, by the bake that follows.
            overrides={
                **_stage(load_stage(wheel.extension)),
                f"{COMPILER_CACHE}.contexts.{TOOLCHAIN}": f"docker-image://{job.facts.base}",
            },
        )
        if outcome.failure is not None:
            _pass_on_interrupt(outcome)
            job.reporter.warning(f"the compiler cache {saved} could not be loaded: {_first_line(outcome)}")


def _saved(job: Job, wheel: Wheel) -> Answer | None:
    """Ask for the compiler cache that was saved for a wheel; None where nobody can be asked."""
    from bake.reference import parse_reference

    repository = job.facts.caches.compiler_cache
    try:
        return registry_of(repository, job.facts).manifest(parse_reference(f"{repository}:{wheel.extension}"))
    except UpliftError:
        return None


def without_broken(job: Job, outcome: BakeOutcome) -> Job | None:
    """Give the job without the wheels of a store that failed it, as one that lost a blob; None: no store did.

    A store can answer here and fail the builder, which has another way to it and other CAs.
    """
    said = " ".join(f"{step.step} {step.error}" for step in outcome.failed)
    broken = [
        wheel
        for wheel in job.reuse.shelf.wheels
        if wheel.reference and (wheel.reference in said or f"/{_path(wheel.reference)}/" in said)
    ]
    if not broken or outcome.refused:
        return None
    names = ", ".join(wheel.target for wheel in broken)
    job.reporter.warning(f"the wheel store could not give {names}: {_first_line(outcome)}; compiled here instead")
    wheels = tuple(dataclasses.replace(w, reference="") if w in broken else w for w in job.reuse.shelf.wheels)
    shelf = dataclasses.replace(job.reuse.shelf, wheels=wheels)
    return dataclasses.replace(job, reuse=dataclasses.replace(job.reuse, shelf=shelf))


def _path(reference: str) -> str:
    """Give the repository of a reference as it stands in a registry's addresses."""
    from bake.reference import parse_reference

    return parse_reference(reference).repository


def keep(job: Job, outcome: BakeOutcome, *, required: bool = False) -> tuple[str, ...]:
    """Push the wheels that the stores lacked, and save the compiler caches of those that were compiled.

    A wheel that an earlier bake compiled, before a store was named, brings its compiler cache along if there is none.

    Args:
        outcome: of the bake that made them; it may have failed. required: a wheel that can't be pushed is a failure.

    Returns:
        the targets whose wheels were pushed.

    Raises:
        EnvironmentUnfit: a push failed, and was required. Interrupted: Ctrl-C.
    """
    repository = job.facts.caches.wheels
    done = made(outcome, job.reuse.shelf.missing)
    pushed = _push(job, done, repository, required=required) if repository and done else ()
    fresh, kept = compiled(outcome), job.facts.caches.compiler_cache
    new = [w for w in done if w.target in fresh or (kept and w.target in pushed and _is_absent(_saved(job, w)))]
    _save_compiler_caches(job, new)
    return pushed


def _is_absent(answer: Answer | None) -> bool:
    from bake.registry import Outcome

    return answer is not None and answer.outcome is Outcome.ABSENT


def _push(job: Job, done: tuple[Wheel, ...], repository: str, *, required: bool) -> tuple[str, ...]:
    names = tuple(wheel.target for wheel in done)
    outcome = _run_cached(job, names, push_overrides(done, repository))
    if outcome.failure is None:
        return names
    _pass_on_interrupt(outcome)
    message = f"the wheels of {', '.join(names)} could not be pushed to {repository}: {_first_line(outcome)}"
    if required:
        remedy = "`doctor --registry` says whether it may be written; docker login, or mend --wheels"
        raise EnvironmentUnfit(message, where="wheel store", remedy=remedy)
    job.reporter.warning(message)
    return ()


def _save_compiler_caches(job: Job, fresh: list[Wheel]) -> None:
    repository = job.facts.caches.compiler_cache
    for wheel in fresh if repository else ():
        output = f"type=image,name={repository}:{wheel.extension},push=true,store=false,{FORM}"
        stage = _stage(save_stage(wheel.extension))
        outcome = _run_cached(job, (COMPILER_CACHE,), {**stage, f"{COMPILER_CACHE}.output": output})
        if outcome.failure is not None:
            _pass_on_interrupt(outcome)
            job.reporter.warning(f"the compiler cache of {wheel.extension} was not saved: {_first_line(outcome)}")


def _run_cached(job: Job, targets: tuple[str, ...], overrides: Mapping[str, str]) -> BakeOutcome:
    """Run a bake that may not compile: what the builder has dropped meanwhile is not worth that.

    A bake that starts right behind another one can miss, once, what that one just made (seen with Engine 28.5): it is
    tried again.
    """
    from generator.baking.build import run

    outcome = run(job, targets, overrides=overrides, refuse=compiles)
    for _ in range(_MORE_TRIES):
        if not outcome.refused:
            break
        time.sleep(_PAUSE)
        outcome = run(job, targets, overrides=overrides, refuse=compiles)
    return outcome


def _stage(name: str) -> dict[str, str]:
    """Choose a stage of the compiler cache's target; what it looks at is in no cache key, so it runs each time."""
    return {f"{COMPILER_CACHE}.target": name, f"{COMPILER_CACHE}.args.{MOMENT}": str(time.time_ns())}


def compiles(step: Step) -> bool:
    """Tell whether a step compiles."""
    from bake.progress.events import StepKind

    return step.kind is StepKind.INSTRUCTION and step.stage == COMPILE_STAGE


def is_for_compile(step: Step) -> bool:
    """Tell whether a step compiles, or makes what only a compile needs: that starts long before the compile does."""
    from bake.progress.events import StepKind

    return compiles(step) or (step.kind is StepKind.INSTRUCTION and step.owner == TOOLCHAIN)


def made(outcome: BakeOutcome, wheels: tuple[Wheel, ...]) -> tuple[Wheel, ...]:
    """Those whose target is done, built now or cached.

    In a bake that failed that is one whose instructions all ended well. In one that ended well it is enough that
    one did: BuildKit may close the stream of a cached target before it told of each step.
    """
    from bake.progress.events import State, StepKind

    enough = any if outcome.failure is None else all

    def is_done(wheel: Wheel) -> bool:
        own = [step for step in outcome.steps if step.target == wheel.target and step.kind is StepKind.INSTRUCTION]
        return bool(own) and enough(step.state in (State.DONE, State.CACHED) for step in own)

    return tuple(wheel for wheel in wheels if is_done(wheel))


def compiled(outcome: BakeOutcome) -> frozenset[str]:
    """Targets whose compile ran to its end in this bake."""
    from bake.progress.events import State

    return frozenset(step.target for step in outcome.steps if step.stage == COMPILE_STAGE and step.state is State.DONE)


def _pass_on_interrupt(outcome: BakeOutcome) -> None:
    from bake.errors import Interrupted

    if isinstance(outcome.failure, Interrupted):
        raise outcome.failure


def _first_line(outcome: BakeOutcome) -> str:
    return str(outcome.failure).splitlines()[0]
