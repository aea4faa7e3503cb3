"""The pipeline, visible at a glance: load, resolve, plan, render, bake, verify, publish.

Each command of the command line is one function here; each step is one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.errors import UsageError
from generator.resolve import Choices, resolve, with_archs

if TYPE_CHECKING:
    from pathlib import Path

    from generator.plan import Graph
    from generator.recipe import LoadedRecipe
    from generator.reporter import Reporter
    from generator.saving import Archive


def _load(name: str, archs: str | None) -> LoadedRecipe:
    from generator.recipe import LoadedRecipe, load_recipe

    loaded = load_recipe(name)
    return LoadedRecipe(recipe=with_archs(loaded.recipe, archs), origin=loaded.origin, text=loaded.text)


def _plan(loaded: LoadedRecipe, output: Path) -> Graph:
    from generator.plan import build_graph

    return build_graph(loaded.recipe, origin=loaded.origin, build_dir=output.as_posix())


def _write(graph: Graph, output: Path) -> Path:
    from generator.render import BAKE_FILE, render, write_folder

    write_folder(render(graph), output)
    return output / BAKE_FILE


def render(reporter: Reporter, choices: Choices) -> None:
    """Write the rendered folder; the path of its bake file goes to stdout."""
    loaded = _load(choices.recipe, choices.archs)
    graph = _plan(loaded, choices.output)
    file = _write(graph, choices.output)
    reporter.data(str(file))
    reporter.note(f"{len(graph.targets)} targets; bake them with: docker buildx bake -f {file}")


def show_plan(reporter: Reporter, choices: Choices, *, form: str) -> None:
    """Show the graph as a table, JSON, Mermaid or SVG."""
    from generator.plan import svg, views

    graph = _plan(_load(choices.recipe, choices.archs), choices.output)
    if form == "json":
        reporter.data(views.as_json(graph))
    elif form == "mermaid":
        reporter.data(views.as_mermaid(graph))
    elif form == "svg":
        reporter.data(svg.as_svg(graph))
    else:
        views.show_table(reporter.data_console, graph)


def bake(
    reporter: Reporter,
    choices: Choices,
    *,
    targets: tuple[str, ...] = (),
    push: bool = False,
    dry_run: bool = False,
    archive: Archive | None = None,
) -> None:
    """Build, verify, and only then tag and push or save the image.

    Raises:
        UsageError, EnvironmentUnfit, BuildFailed, VerificationFailed, Interrupted: as their names say.
    """
    from generator import baking

    if archive is not None:
        if targets:
            raise UsageError("--output saves the verified image", where="--output", remedy="name no targets beside it")
        archive.check()
    loaded = _load(choices.recipe, choices.archs)
    facts = resolve(loaded.recipe, choices)
    graph = _plan(loaded, choices.output)
    for name in targets:
        graph[name]  # an unknown target is refused before anything is written
    file = _write(graph, choices.output)
    job = baking.Job(reporter=reporter, recipe=loaded.recipe, facts=facts, choices=choices, file=file)
    if dry_run:
        baking.show_dry_run(job, graph, targets, push=push, archive=archive)
        return
    job = baking.settle(job, push=push)
    if targets:
        baking.bake_targets(job, targets)
        return
    baking.bake_verified(job, push=push, archive=archive)


def verify(reporter: Reporter, choices: Choices, *, image: str | None, form: str, gpu: bool = False) -> None:
    """Check an image by name, or the recipe's image, on a GPU too if asked, and show the rows.

    Raises:
        VerificationFailed: a row failed; the others as for ``bake``.
    """
    from bake.reference import parse_reference
    from generator import baking, on_card
    from generator.junit import as_junit
    from generator.verification import as_json, merged, require_passed, show_table

    if image is not None:
        parse_reference(image, where="IMAGE")
    loaded = _load(choices.recipe, choices.archs)
    facts = resolve(loaded.recipe, choices)
    graph = _plan(loaded, choices.output)
    if gpu:
        on_card.require(image or facts.image)  # before anything is built
    file = _write(graph, choices.output)
    job = baking.Job(reporter=reporter, recipe=loaded.recipe, facts=facts, choices=choices, file=file)
    job = baking.settle(job, push=False)
    report = baking.check(job, image=image)
    if gpu:
        report = merged(report, on_card.check(job, image or facts.image))
    if form == "json":
        reporter.data(as_json(report))
    elif form == "junit":
        reporter.data(as_junit(report))
    else:
        show_table(reporter, report)
    require_passed(report)


def doctor(reporter: Reporter, choices: Choices, *, form: str) -> None:
    """Check the surroundings and say how to mend them.

    Raises:
        EnvironmentUnfit: a check found an error.
    """
    from generator import surroundings

    loaded = _load(choices.recipe, choices.archs)
    surroundings.examine(reporter, loaded.recipe, resolve(loaded.recipe, choices), form=form)
