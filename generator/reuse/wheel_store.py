"""The wheel store: compiled wheels as small images, each tagged by its key.

What a store has is taken from there, by digest, in place of the target that would compile it; what it lacks is pushed
after the compile. A store that does not answer is a warning: the wheel is compiled, as without one.
"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit
from bake.reference import parse_reference
from generator.job import Job, Reuse, Wheel, WheelLookup
from generator.reuse.cached_run import run_cached
from generator.reuse.steps import digest_of, first_line, raise_if_interrupted
from generator.reuse.store import WHEEL, Store, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bake.buildx.driver import BakeOutcome
    from generator.plan import Graph
    from generator.plan.keys import Key

LABEL = "io.image-uplift"
_AT_ONCE = 8


def wheels_of(graph: Graph, keys: Mapping[str, Key]) -> tuple[Wheel, ...]:
    """List the compile targets of a graph with their keys."""
    return tuple(
        Wheel(target=target.name, extension=str(target.values["package"]), key=keys[target.name])
        for target in graph.targets
        if target.stand_in
    )


def look_up(wheels: tuple[Wheel, ...], stores: Mapping[str, Store]) -> WheelLookup:
    """Ask the stores, in their order, for each wheel; all wheels at the same time.

    Args:
        stores: by the names that warnings call them by.
    """
    warnings: list[str] = []
    for name, store in stores.items():
        wanted = [wheel for wheel in wheels if not wheel.reference]
        if not wanted:
            break
        with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(wanted))) as pool:
            answers = list(pool.map(store.look_up, (wheel.tag for wheel in wanted)))
        found = {wheel.target: answer.reference for wheel, answer in zip(wanted, answers, strict=True)}
        wheels = tuple(dataclasses.replace(w, reference=w.reference or found[w.target]) for w in wheels)
        warnings += [
            f"the wheel store {name} has {wheel.tag}, and it is not taken: {answer.refused}"
            for wheel, answer in zip(wanted, answers, strict=True)
            if answer.refused
        ]
        troubles = dict.fromkeys(answer.trouble for answer in answers if answer.trouble)
        warnings += [f"the wheel store {name} {said}; wheels are compiled here if need be" for said in troubles]
    return WheelLookup(wheels=wheels, warnings=tuple(warnings))


def push(job: Job, made: tuple[Wheel, ...], *, required: bool) -> tuple[str, ...]:
    """Push wheels to the store, each under its key, with the key's inputs as a label; gives the targets that were.

    Where stores are only read, none is.

    Args:
        made: wheels that no store has. required: one that can't be pushed is a failure, not a warning.

    Raises:
        EnvironmentUnfit: a push failed, and was required. Interrupted: Ctrl-C.
    """
    repository = job.preflight.caches.wheels
    store = store_of(repository, job.facts, WHEEL)
    if store is None or not made or job.preflight.caches.readonly:
        return ()
    names = tuple(wheel.target for wheel in made)
    outcome = run_cached(job, names, push_overrides(made, store))
    raise_if_interrupted(outcome)
    if outcome.failure is not None:
        _tell(
            job,
            f"the wheels of {', '.join(names)} could not be pushed to {repository}: {first_line(outcome)}",
            required,
        )
        return ()
    unsigned = {wheel.target: store.sign(wheel.tag, digest_of(outcome, wheel.target)) for wheel in made}
    for name, why in unsigned.items():
        if why:
            _tell(job, f"{name} is in the wheel store {repository} without a signature: {why}", required)
    return names


def _tell(job: Job, message: str, required: bool) -> None:
    if required:
        remedy = "`doctor --registry` says whether it may be written; docker login, or mend --wheels"
        raise EnvironmentUnfit(message, where="wheel store", remedy=remedy)
    job.reporter.warning(message)


def push_overrides(wheels: Iterable[Wheel], store: Store) -> dict[str, str]:
    """Give the ``--set`` values that push wheels to a store."""
    overrides: dict[str, str] = {}
    for wheel in wheels:
        overrides[f"{wheel.target}.output"] = store.output(wheel.tag)
        overrides[f"{wheel.target}.labels.{LABEL}.key"] = wheel.key.digest
        overrides[f"{wheel.target}.labels.{LABEL}.inputs"] = json.dumps(wheel.key.inputs, sort_keys=True)
    return overrides


def without_broken(job: Job, outcome: BakeOutcome) -> Reuse | None:
    """Give what is reused without the wheels of a store that failed it, as one that lost a blob; None: no store did.

    A store can answer here and fail the builder, which has another way to it and other CAs.
    """
    said = " ".join(f"{step.step} {step.error}" for step in outcome.failed)
    broken = [
        wheel
        for wheel in job.reuse.lookup.wheels
        if wheel.reference and (wheel.reference in said or f"/{parse_reference(wheel.reference).repository}/" in said)
    ]
    if not broken or outcome.refused:
        return None
    names = ", ".join(wheel.target for wheel in broken)
    job.reporter.warning(f"the wheel store could not give {names}: {first_line(outcome)}; compiled here instead")
    return dataclasses.replace(job.reuse, lookup=job.reuse.lookup.without(broken))
