"""The registry cache of steps, by target: whether it can be reached, and whether it is there for just these inputs.

A cache that a bake of the main branch wrote gets a second tag of its target's inputs, ``REF:TARGET.key-HASH``. A later
bake of the same inputs, of any branch, reads that one and does not write it again: that would cost seconds, and
BuildKit exports less of steps that it only found cached than of those that it ran. Other branches give no such tags:
the main branch would read what they wrote.
"""

from __future__ import annotations

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bake.ahead import Ahead
from bake.errors import UpliftError
from bake.progress.events import State, StepKind
from bake.reference import parse_reference
from bake.registry import Outcome
from generator.resolve.caches import KEY
from generator.reuse.cache_summary import counted
from generator.reuse.store import registry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bake.buildx.driver import BakeOutcome
    from bake.reference import Reference
    from bake.registry import Answer
    from generator.job import Job, Reuse, WheelLookup
    from generator.plan import Graph
    from generator.plan.keys import Key
    from generator.resolve.caches import Caches
    from generator.resolve.facts import Facts

_DIGITS = 24  # of the hash: 96 bits
_AT_ONCE = 8


def ask(facts: Facts) -> Ahead[Answer] | None:
    """Begin to ask the registry of the registry cache whether it answers; None where there is no such cache."""
    repository = facts.caches.repository
    return Ahead(registry_of(repository, facts).probe) if repository else None


def reachable(caches: Caches, probe: Ahead[Answer] | None, *, warn: Callable[[str], None]) -> Caches:
    """Leave the registry cache out where its registry does not answer: BuildKit would try each target for long.

    Args:
        probe: what ``ask`` began. warn: told of a cache that is left out.
    """
    if probe is None:
        return caches
    silent = (Outcome.REFUSED, Outcome.NAME, Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.TLS)
    answer = probe.answer()
    if answer.outcome not in silent:
        return caches
    warn(
        f"the registry cache {caches.repository} can't be reached ({answer.detail or answer.outcome.value}); "
        "this bake goes without it"
    )
    return dataclasses.replace(caches, repository="")


def input_tags(graph: Graph, keys: Mapping[str, Key], lookup: WheelLookup) -> dict[str, str]:
    """Give the end of the tag that each target's cache has for the inputs of today.

    Other than the key of a wheel it holds all that the steps of a target come from: the inputs of every target that it
    needs, and the images that stand in for some of them.
    """
    references = {wheel.target: wheel.reference for wheel in lookup.wheels}
    tags: dict[str, str] = {}
    for name in graph.names:
        needed = sorted((name, *graph.ancestors(name)))
        text = "\n".join(f"{other} {keys[other].digest} {references.get(other, '')}" for other in needed)
        tags[name] = f"{KEY}{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
    return tags


def exact(repository: str, facts: Facts, tags: Mapping[str, str]) -> Mapping[str, str]:
    """Find the targets whose cache is there for just these inputs; all are asked for at the same time.

    Args:
        repository: of the registry cache; "": there is none. tags: as ``input_tags`` gives them.
    """
    if not repository:
        return {}
    registry = registry_of(repository, facts)

    def known(entry: tuple[str, str]) -> bool:
        try:
            return registry.digest_of(_reference(repository, *entry)) is not None
        except UpliftError:
            return False

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return {
            entry[0]: entry[1]
            for entry, there in zip(tags.items(), pool.map(known, tags.items()), strict=True)
            if there
        }


def mark(job: Job, outcome: BakeOutcome) -> None:
    """Give the caches that the main branch wrote the tags of their inputs; one that can't be tagged has none."""
    caches = job.preflight.caches
    repository, written = caches.repository, _written(outcome)
    if not repository or not written or caches.branch or caches.readonly:
        return
    registry = registry_of(repository, job.facts)
    tags = input_tags(job.graph, job.reuse.keys, job.reuse.lookup)

    def tag(name: str) -> None:
        reference = _reference(repository, name, "")
        try:
            digest = registry.digest_of(reference)
            if digest is not None:
                registry.tag(dataclasses.replace(reference, tag=None, digest=digest), f"{name}.{tags[name]}")
        except UpliftError:
            return

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        list(pool.map(tag, (name for name in written if name in tags)))


def without_gaps(job: Job, outcome: BakeOutcome) -> Reuse | None:
    """Give what is reused without the exact caches of targets that ran steps all the same; None: there are none.

    A cache that was written of steps that the builder had from elsewhere can lack some. It is written again, unless
    caches are only read.
    """
    if job.preflight.caches.readonly:
        return None
    ran = {proof.target for proof in counted(outcome) if proof.ran}
    gaps = ran & set(job.reuse.exact)
    if not gaps or outcome.failure is not None:
        return None
    kept = {target: tag for target, tag in job.reuse.exact.items() if target not in gaps}
    return dataclasses.replace(job.reuse, exact=kept)


def _written(outcome: BakeOutcome) -> frozenset[str]:
    """Targets whose cache was exported to its end."""
    return frozenset(
        step.target
        for step in outcome.steps
        if step.kind is StepKind.CACHE and step.label.startswith("exporting") and step.state is State.DONE
    )


def _reference(repository: str, target: str, end: str) -> Reference:
    return parse_reference(f"{repository}:{target}.{end}" if end else f"{repository}:{target}")
