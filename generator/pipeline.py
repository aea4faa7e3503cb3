"""The pipeline, visible at a glance: load, resolve, plan, render, bake, verify, publish.

Each command of the command line is one function here; each step is one call.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.plan.names import IMAGE, VERIFY
from generator.resolve.resolve import Choices, layer_limit_mib, resolve, with_archs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from generator.baking.archive import Archive
    from generator.baking.build import Job
    from generator.ci import CiWishes
    from generator.commands.clean import Wanted
    from generator.commands.run import Wishes
    from generator.console.reporter import Reporter
    from generator.plan import Graph
    from generator.recipe import LoadedRecipe
    from generator.resolve.resolve import Facts


def _load(reporter: Reporter, choices: Choices) -> LoadedRecipe:
    """Load the recipe, with the facts of its lock where it has one, and for the archs that were chosen."""
    from dataclasses import replace

    from generator.commands.lock import locked
    from generator.recipe import load_recipe

    loaded = load_recipe(choices.recipe)
    applied = locked(loaded, choices.recipe, choices.lock)
    for sentence in applied.stale if applied else ():
        reporter.warning(f"the lock is stale, {sentence}; run `lock` again")
    recipe = applied.recipe if applied else loaded.recipe
    return replace(loaded, recipe=with_archs(recipe, choices.archs))


def _plan(loaded: LoadedRecipe, choices: Choices) -> Graph:
    from generator.plan import build_graph

    return build_graph(
        loaded.recipe,
        origin=loaded.origin,
        build_dir=choices.output.as_posix(),
        layer_limit_mib=layer_limit_mib(choices),
    )


def _write(graph: Graph, output: Path) -> tuple[Path, Mapping[PurePosixPath, bytes]]:
    """Render a graph into a folder; gives its bake file, and what was rendered."""
    from generator.render import BAKE_FILE, render, write_folder

    files = render(graph)
    write_folder(files, output)
    return output / BAKE_FILE, files


def _at_hand(
    reporter: Reporter, loaded: LoadedRecipe, facts: Facts, graph: Graph, targets: tuple[str, ...] = ()
) -> Facts:
    """Use what lies in the assets folder, and ask for the disk that these targets need; none: everything.

    Raises:
        EnvironmentUnfit: a file there is a wrong one.
    """
    from dataclasses import replace

    from generator.commands.fetch import use_lying
    from generator.plan import disk
    from generator.plan.specs import asset_variable

    wanted = targets or disk.EVERYTHING
    needed = {name for target in wanted for name in (target, *graph.ancestors(target))}
    variables = {variable for name in needed for variable in graph[name].assets.values()}
    names = [name for name in loaded.recipe.assets if asset_variable(name) in variables]
    facts = replace(facts, disk_gib=disk.needed_gib(graph, facts.disk_gib, targets))
    return use_lying(reporter, loaded.recipe, facts, names)


def _job(reporter: Reporter, choices: Choices, loaded: LoadedRecipe, facts: Facts, graph: Graph) -> Job:
    from generator.baking.build import Job

    file, files = _write(graph, choices.output)
    return Job(
        reporter=reporter, recipe=loaded.recipe, facts=facts, choices=choices, file=file, graph=graph, files=files
    )


def render(reporter: Reporter, choices: Choices) -> None:
    """Write the rendered folder; the path of its bake file goes to stdout."""
    loaded = _load(reporter, choices)
    graph = _plan(loaded, choices)
    file, _ = _write(graph, choices.output)
    reporter.data(str(file))
    reporter.note(f"{len(graph.targets)} targets; bake them with: docker buildx bake -f {file}")


def show_plan(reporter: Reporter, choices: Choices, *, form: str) -> None:
    """Show the graph as a table, JSON, Mermaid or SVG, or its compile targets as a job matrix for CI."""
    from generator.plan import matrix, svg, views

    graph = _plan(_load(reporter, choices), choices)
    if form == "json":
        reporter.data(views.as_json(graph))
    elif form == "mermaid":
        reporter.data(views.as_mermaid(graph))
    elif form == "svg":
        reporter.data(svg.as_svg(graph))
    elif form == "matrix":
        reporter.data(matrix.as_matrix(graph))
    else:
        views.show_table(reporter.data_console, graph)


def explain(reporter: Reporter, choices: Choices, *, target: str) -> None:
    """Say which inputs of a target changed since the last bake of this build folder.

    Raises:
        UsageError: there is no such target, or no record of a bake.
    """
    from generator.commands import explain as why

    loaded = _load(reporter, choices)
    graph = _plan(loaded, choices)
    graph[target]
    why.explain(reporter, graph, resolve(loaded.recipe, choices), folder=choices.output, target=target)


def bake(
    reporter: Reporter,
    choices: Choices,
    *,
    targets: tuple[str, ...] = (),
    push: bool = False,
    dry_run: bool = False,
    archive: Archive | None = None,
    require_warm: bool = False,
) -> None:
    """Build, verify, and only then tag and push or save the image.

    Raises:
        UsageError, EnvironmentUnfit, BuildFailed, VerificationFailed, Interrupted: as their names say.
    """
    from generator.baking import build, preflight
    from generator.ci.step_summary import step_summary

    if archive is not None:
        if targets:
            raise UsageError("--output saves the verified image", where="--output", remedy="name no targets beside it")
        archive.check()
    loaded = _load(reporter, choices)
    facts = resolve(loaded.recipe, choices)
    asked = None if dry_run else preflight.ask(facts)  # buildx takes its time
    graph = _plan(loaded, choices)
    for name in targets:
        graph[name]  # an unknown target is refused before anything is written
    if asked is None:
        job = _job(reporter, choices, loaded, facts, graph)
        build.show_dry_run(job, targets, push=push, archive=archive)
        return
    facts = _at_hand(reporter, loaded, facts, graph, targets)
    job = _job(reporter, choices, loaded, facts, graph)
    load = not push and archive is None and (not targets or IMAGE in targets)
    job = build.settle(job, asked, push=push, load=load)
    with step_summary(job.folder):
        if targets:
            build.bake_targets(job, targets, require_warm=require_warm)
            return
        build.bake_verified(job, push=push, archive=archive, require_warm=require_warm)


def warm(reporter: Reporter, choices: Choices) -> None:
    """Fill the caches and stores that a later bake of this recipe uses; no image is exported.

    Raises:
        UsageError: nothing is named that could be filled; the others as for ``bake``.
    """
    from generator.baking import build, preflight
    from generator.ci.step_summary import step_summary

    loaded = _load(reporter, choices)
    facts = resolve(loaded.recipe, choices)
    if not facts.caches.kept:
        raise UsageError(
            "nothing is named that outlives this builder",
            where="warm",
            remedy="give --registry (wheels and compiler caches go there), or --wheels, --compiler-cache, --cache",
        )
    asked = preflight.ask(facts)
    graph = _plan(loaded, choices)
    facts = _at_hand(reporter, loaded, facts, graph)
    job = _job(reporter, choices, loaded, facts, graph)
    job = build.settle(job, asked, push=False, load=False)
    with step_summary(job.folder):
        build.warm(job)


def verify(reporter: Reporter, choices: Choices, *, image: str | None, form: str, gpu: bool = False) -> None:
    """Check an image by name, or the recipe's image, on a GPU too if asked, and show the rows.

    Raises:
        VerificationFailed: a row failed; the others as for ``bake``.
    """
    from bake.reference import parse_reference
    from generator.baking import build, preflight
    from generator.commands import verify_gpu
    from generator.verification.junit import as_junit
    from generator.verification.report import as_json, merged, require_passed, show_table

    if image is not None:
        parse_reference(image, where="IMAGE")
    loaded = _load(reporter, choices)
    facts = resolve(loaded.recipe, choices)
    asked = preflight.ask(facts)
    graph = _plan(loaded, choices)
    if gpu:
        verify_gpu.require(image or facts.image)  # before anything is built
    # An image by name takes the place of the one that would be built.
    parts = tuple(name for name in graph[VERIFY].inputs.values() if name != IMAGE) if image else ()
    facts = _at_hand(reporter, loaded, facts, graph, parts)
    job = _job(reporter, choices, loaded, facts, graph)
    job = build.settle(job, asked, push=False, load=False)
    report = build.check(job, image=image)
    if gpu:
        report = merged(report, verify_gpu.check(job, image or facts.image))
    if form == "json":
        reporter.data(as_json(report))
    elif form == "junit":
        reporter.data(as_junit(report))
    else:
        show_table(reporter, report)
    require_passed(report)


def report(reporter: Reporter, folder: Path, *, form: str, output: Path | None, ca_bundle: Path | None = None) -> None:
    """Report on the last bake of a build folder.

    Raises:
        UsageError: nothing was baked there. EnvironmentUnfit: the report can't be written.
    """
    from generator.commands.report import gather, write

    write(reporter, gather(folder, ca_bundle=ca_bundle), form=form, output=output)


def ci(reporter: Reporter, choices: Choices, wishes: CiWishes, *, output: Path | None, force: bool) -> None:
    """Write the recipe's CI file to its place, whose path goes to stdout, or to stdout itself.

    Raises:
        UsageError: a value that can't stand in a CI file; another file stands there.
        EnvironmentUnfit: it can't be written.
    """
    from generator.ci import place_of, render_ci, settle, write_ci_file
    from generator.resolve.site import load_site

    site = load_site(choices.site, recipe=choices.recipe).site
    settings = settle(wishes, recipe=choices.recipe, registry=choices.registry or site.registry or "")
    graph = _plan(_load(reporter, choices), choices)
    text = render_ci(settings, graph)
    if output is None:
        reporter.data(text)
        return
    path = place_of(output, wishes.system, graph.recipe)
    changed = write_ci_file(text, path, force=force)
    reporter.data(str(path))
    reporter.note(
        f"{path} is {'written' if changed else 'as it was'}; its first lines say what the settings have to hold"
    )


def fetch(reporter: Reporter, choices: Choices, *, names: tuple[str, ...] = (), again: bool = False) -> None:
    """Fetch and check the recipe's assets, or those named; name, SHA-256 and path of each go to stdout.

    Raises:
        UsageError: there is no asset of that name. EnvironmentUnfit: one could not be had. Interrupted: Ctrl-C.
    """
    from bake.assets import Store
    from generator.commands import fetch as fetching

    recipe = _load(reporter, choices).recipe
    for name in names:
        if name not in recipe.assets:
            known = ", ".join(recipe.assets) or "none"
            raise UsageError(f"there is no asset {name!r}", where=choices.recipe, remedy=f"assets: {known}")
    facts = resolve(recipe, choices)
    wanted = [request for request in fetching.requests_here(recipe, facts) if not names or request.name in names]
    if not wanted:
        reporter.note(f"the recipe {recipe.name} has no assets; nothing to fetch")
    fetching.fetch_all(reporter, wanted, Store(facts.assets_folder), facts=facts, again=again)


def lock(reporter: Reporter, choices: Choices, *, file: Path | None) -> None:
    """Write the recipe's lock: the base's digest, and hashes; assets that nobody has are fetched. Its path to stdout.

    Raises:
        EnvironmentUnfit: the base or an asset can't be had, or the lock can't be written.
    """
    from generator.commands import fetch as fetching
    from generator.commands import lock as locking
    from generator.recipe import load_recipe

    loaded = load_recipe(choices.recipe)
    facts = resolve(loaded.recipe, choices)
    digest = locking.base_digest(loaded.recipe, ca_bundle=facts.ca_bundle, mirror=facts.base_mirror)
    hashes = fetching.hashes(reporter, loaded.recipe, facts)
    path = file or locking.written_to(choices.recipe)
    made = locking.make_lock(loaded.recipe, digest=digest, assets=hashes)
    changed = locking.save(made, origin=Path(loaded.origin).name, path=path)
    reporter.data(str(path))
    reporter.note(f"{path} is {'written' if changed else 'as it was'}: base {digest[:19]}, {len(hashes)} assets")


def run(reporter: Reporter, choices: Choices, wishes: Wishes, *, dry_run: bool) -> int:
    """Run the image as its users do; gives the container's exit status.

    Raises:
        UsageError, EnvironmentUnfit: what was found before anything started. Interrupted: Ctrl-C.
    """
    from generator.commands import run as running

    recipe = _load(reporter, choices).recipe
    return running.run(reporter, recipe, resolve(recipe, choices), wishes, dry_run=dry_run)


def clean(reporter: Reporter, choices: Choices, wanted: Wanted, *, yes: bool, dry_run: bool) -> None:
    """List what earlier bakes left, ask, and remove it.

    Raises:
        EnvironmentUnfit: something could not be removed.
    """
    from generator.commands import clean as cleaning

    recipe = _load(reporter, choices).recipe
    facts = resolve(recipe, choices)
    place = cleaning.Place(build=choices.output, assets=facts.assets_folder, builder=facts.builder)
    cleaning.clean(reporter, recipe, place, wanted, yes=yes, dry_run=dry_run)


def doctor(reporter: Reporter, choices: Choices, *, form: str, fix: bool = False) -> None:
    """Check the surroundings and say how to mend them, or mend what can be.

    Raises:
        EnvironmentUnfit: a check found an error.
    """
    from generator.baking import preflight

    loaded = _load(reporter, choices)
    preflight.examine(reporter, loaded.recipe, resolve(loaded.recipe, choices), choices, form=form, fix=fix)
