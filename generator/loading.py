"""The first steps of the pipeline, which most commands share: load, resolve, plan, render.

What is wrong with files or options is found here, before anything outside of this program is asked.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator.commands.lock import locked
from generator.job import Rendered
from generator.plan import build_graph
from generator.recipe import load_recipe
from generator.recipe.groups import FETCHER_IMAGE
from generator.render import BAKE_FILE, render, write_folder
from generator.resolve.resolve import layer_limit_mib, resolve, this_platform, with_archs, with_base
from generator.resolve.site import SiteFile, beside, load_site
from generator.trust.provenance import hashed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from generator.console.reporter import Reporter
    from generator.plan import Graph
    from generator.recipe import Recipe
    from generator.resolve.choices import Choices
    from generator.resolve.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What is read from files: the recipe for the base and archs that were chosen, its lock's facts in it; the site.

    Args:
        documents: SHA-256 of ``recipe`` and ``lock``. fetcher, files: as the lock names them, files by group.
        platform: what is built for, as far as is known. preferred: versions for groups that are resolved anew.
        unlocked: parts that no lock has.
    """

    recipe: Recipe
    origin: str
    site: SiteFile
    platform: str
    documents: Mapping[str, str] = field(default_factory=dict)
    fetcher: str | None = None
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    preferred: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unlocked: tuple[str, ...] = ()


def site_of(reporter: Reporter, choices: Choices) -> SiteFile:
    """Read the site file, and say of one beside the recipe that it is not used."""
    if choices.site is None and (other := beside(choices.recipe)):
        reporter.note(f"{other} is not used; --site {other} uses it")
    return load_site(choices.site)


def load(reporter: Reporter, choices: Choices, site: SiteFile | None = None) -> Loaded:
    """Read recipe, lock and site, and say what of the lock is stale."""
    site = site or site_of(reporter, choices)
    loaded = load_recipe(choices.recipe)
    recipe = with_base(loaded.recipe, choices.base)
    builder = choices.builder or site.site.builder
    applied = locked(recipe, choices.recipe, choices.lock, platform=this_platform(), builder=builder)
    for sentence in applied.stale:
        reporter.warning(f"the lock is stale, {sentence}; run `lock` again")
    recipe = with_archs(applied.recipe, choices.archs)
    return Loaded(
        recipe=recipe,
        origin=loaded.origin,
        site=site,
        documents={"recipe": hashed(loaded.text), **({"lock": hashed(applied.text)} if applied.text else {})},
        fetcher=applied.fetcher,
        files=applied.files,
        unlocked=applied.missing,
        platform=applied.platform,
    )


def load_to_build(reporter: Reporter, choices: Choices) -> Loaded:
    """Read them, and say what no lock holds, where something is about to be built."""
    loaded = load(reporter, choices)
    if loaded.unlocked:
        reporter.note(f"not locked: {', '.join(loaded.unlocked)}; `lock` holds them to what they are today")
    return loaded


def facts_of(loaded: Loaded, choices: Choices) -> Facts:
    """Decide what a bake is to use."""
    facts = resolve(loaded.recipe, choices, loaded.site, fetcher=loaded.fetcher)
    return dataclasses.replace(facts, documents=loaded.documents, files=loaded.files, platform=loaded.platform)


def graph_of(loaded: Loaded, choices: Choices) -> Graph:
    """Plan the targets."""
    return build_graph(
        loaded.recipe,
        origin=loaded.origin,
        build_dir=choices.output.as_posix(),
        layer_limit_mib=layer_limit_mib(choices, loaded.site),
        fetcher=loaded.fetcher or FETCHER_IMAGE,
        locked=loaded.files,
        preferred=loaded.preferred,
    )


def rendered_to(graph: Graph, folder: Path) -> Rendered:
    """Write what a graph is rendered to."""
    files = render(graph)
    write_folder(files, folder)
    return Rendered(graph=graph, folder=folder, file=folder / BAKE_FILE, files=files)
