"""Makes the job: the surroundings checked, the base pinned, the stores asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.buildx.driver import run_bake
from generator.baking.preflight import BuildxProbe, preflight
from generator.job import Job, Preflight, Rendered, Reuse
from generator.plan.keys import keys_of
from generator.reuse import registry_cache, wheel_store
from generator.reuse.store import WHEEL, store_of

if TYPE_CHECKING:
    from generator.baking.delivery import Destination
    from generator.console.reporter import Reporter
    from generator.plan.keys import Key
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts


def prepare(
    reporter: Reporter,
    recipe: Recipe,
    facts: Facts,
    probe: BuildxProbe,
    rendered: Rendered,
    *,
    destination: Destination,
    targets: tuple[str, ...] = (),
) -> Job:
    """Make the job; arguments and errors are those of ``preflight``."""
    found = preflight(reporter, recipe, facts, probe, rendered, destination=destination, targets=targets)
    reuse = find_reuse(facts, rendered, found)
    for sentence in reuse.lookup.warnings:
        reporter.warning(sentence)
    return Job(
        reporter=reporter,
        recipe=recipe,
        facts=facts,
        rendered=rendered,
        preflight=found,
        reuse=reuse,
        driver=run_bake,
    )


def find_reuse(facts: Facts, rendered: Rendered, found: Preflight) -> Reuse:
    """Look for wheels, and for cached steps of just these inputs."""
    keys = keys_for(facts, rendered, found)
    names = (found.caches.wheels, found.caches.wheels_readonly)
    stores = {name: store for name in names if (store := store_of(name, facts, WHEEL))}
    lookup = wheel_store.look_up(wheel_store.wheels_of(rendered.graph, keys), stores)
    tags = registry_cache.input_tags(rendered.graph, keys, lookup)
    return Reuse(keys=keys, lookup=lookup, exact=registry_cache.exact(found.caches.repository, facts, tags))


def keys_for(facts: Facts, rendered: Rendered, found: Preflight) -> dict[str, Key]:
    """Give the keys of all targets."""
    return keys_of(
        rendered.graph,
        rendered.files,
        variables={**facts.variables(), **found.variables()},
        base=found.base.rpartition("@")[2] or found.base,
        platform=found.platform,
        checksums=facts.checksums,
    )
