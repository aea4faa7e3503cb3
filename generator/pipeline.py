"""The pipeline, visible at a glance: load, resolve, plan, render, prepare, bake, verify, deliver.

Each command of the command line is one function here; each step is one call.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bake.assets import Store
from bake.errors import UsageError
from bake.reference import parse_reference
from generator.baking import build
from generator.baking import bundle as bundling
from generator.baking.delivery import Destination, delivery_to, destination_of
from generator.baking.preflight import ask
from generator.baking.prepare import prepare
from generator.baking.stored import deliver_stored
from generator.ci import finish, place_of, render_ci, write_ci_file
from generator.ci.step_summary import step_summary
from generator.commands import clean as cleaning
from generator.commands import doctor as examining
from generator.commands import explain as explaining
from generator.commands import fetch as fetching
from generator.commands import report as reporting
from generator.commands import run as running
from generator.commands import verify_gpu, verify_provenance
from generator.job import held
from generator.loading import facts_of, graph_of, load, load_to_build, rendered_to, site_of
from generator.plan import matrix, svg, views
from generator.plan.names import IMAGE, VERIFY
from generator.resolve.assets import requests_here
from generator.verification.junit import as_junit
from generator.verification.report import as_json, merged, require_passed, show_table

if TYPE_CHECKING:
    from pathlib import Path

    from generator.baking.archive import Archive
    from generator.ci import CiOptions
    from generator.commands.clean import Wanted
    from generator.commands.run import RunOptions
    from generator.console.reporter import Reporter
    from generator.resolve.choices import Choices
    from generator.verification.report import VerificationReport


def render(reporter: Reporter, choices: Choices) -> None:
    """Write the rendered folder; the path of its bake file goes to stdout."""
    graph = graph_of(load(reporter, choices), choices)
    with held(choices.output, reporter.note):
        file = rendered_to(graph, choices.output).file
    reporter.data(str(file))
    reporter.note(f"{len(graph.targets)} targets; bake them with: docker buildx bake -f {file}")


def show_plan(reporter: Reporter, choices: Choices, *, form: str) -> None:
    """Show the graph as a table, JSON, Mermaid or SVG, or its compile targets as a job matrix for CI."""
    graph = graph_of(load(reporter, choices), choices)
    texts = {"json": views.as_json, "mermaid": views.as_mermaid, "svg": svg.as_svg, "matrix": matrix.as_matrix}
    if form in texts:
        reporter.document(texts[form](graph))
    else:
        views.show_table(reporter.data_console, graph)


def explain(reporter: Reporter, choices: Choices, *, target: str) -> None:
    """Say which inputs of a target changed since the last bake of this build folder.

    Raises:
        UsageError: there is no such target, or no record of a bake.
    """
    loaded = load(reporter, choices)
    graph = graph_of(loaded, choices)
    graph[target]
    explaining.explain(reporter, graph, facts_of(loaded, choices), folder=choices.output, target=target)


def bake(
    reporter: Reporter,
    choices: Choices,
    *,
    targets: tuple[str, ...] = (),
    push: bool = False,
    dry_run: bool = False,
    archive: Archive | None = None,
    require_warm: bool = False,
    bundle: Path | None = None,
    store: bool = True,
) -> None:
    """Build, verify, and only then tag and push or save the image; or take it from the image store.

    Raises:
        UsageError, EnvironmentUnfit, BuildFailed, VerificationFailed, Interrupted: as their names say.
    """
    for option, does in (("--output", "saves" if archive else ""), ("--push", "pushes" if push else "")):
        if targets and does:
            raise UsageError(f"{option} {does} the verified image", where=option, remedy="name no targets beside it")
    if archive is not None:
        archive.check()
    loaded = load_to_build(reporter, choices)
    facts = facts_of(loaded, choices)
    probe = None if dry_run else ask(facts)  # buildx takes its time
    graph = graph_of(loaded, choices)
    for name in targets:
        graph[name]  # an unknown target is refused before anything is written
    destination = Destination.NOWHERE if targets else destination_of(push=push, archive=archive)
    with held(facts.folder, reporter.note):
        rendered = rendered_to(graph, facts.folder)
        if probe is None:
            build.show_dry_run(reporter, facts, rendered, targets, push=push, archive=archive)
            return
        whole = not targets and archive is None and bundle is None  # of what the store has, nothing else is made
        if store and whole and facts.registry:
            with step_summary(facts.folder):
                if deliver_stored(reporter, loaded.recipe, facts, probe, rendered, push=push):
                    return
        opened = None
        if bundle is not None:
            opened = bundling.open_bundle(bundle, loaded.recipe, rendered, loaded.files, platform=facts.platform)
            # Nothing is fetched.
            facts = dataclasses.replace(facts, fetcher=facts.base, fetcher_mirror=facts.base_mirror)
        job = prepare(reporter, loaded.recipe, facts, probe, rendered, destination=destination, targets=targets)
        job = dataclasses.replace(job, bundle=opened)
        with step_summary(job.folder):
            if targets:
                build.bake_targets(job, targets, require_warm=require_warm)
                return
            delivery = delivery_to(destination, own_builder=job.preflight.own_builder, archive=archive)
            build.bake_verified(job, delivery, require_warm=require_warm)


def warm(reporter: Reporter, choices: Choices) -> None:
    """Fill the caches and stores that a later bake of this recipe uses; no image is exported.

    Raises:
        UsageError: nothing is named that could be filled; the others as for ``bake``.
    """
    loaded = load_to_build(reporter, choices)
    facts = facts_of(loaded, choices)
    if facts.caches.readonly:
        raise UsageError(
            "the caches are only read here, so nothing can be filled",
            where="warm",
            remedy="run it in a job of the main branch, or with --no-caches-readonly: "
            "--caches-readonly, and the job of a pull request without that, write no cache",
        )
    if not facts.caches.kept:
        raise UsageError(
            "nothing is named that outlives this builder",
            where="warm",
            remedy="give --registry (wheels and compiler caches go there), or --wheels, --compiler-cache, --cache",
        )
    if facts.trust and facts.signer is None:
        raise UsageError(
            "this place takes signed wheels alone ([trust] of the site file), and nothing signs those that are made",
            where="warm",
            remedy="give --sign-key",
        )
    probe = ask(facts)
    graph = graph_of(loaded, choices)
    with held(facts.folder, reporter.note):
        rendered = rendered_to(graph, facts.folder)
        job = prepare(reporter, loaded.recipe, facts, probe, rendered, destination=Destination.NOWHERE)
        with step_summary(job.folder):
            build.warm(job)


def verify(reporter: Reporter, choices: Choices, *, image: str | None, form: str, gpu: bool = False) -> None:
    """Check an image by name, or the recipe's image, on a GPU too if asked, and show the rows.

    Raises:
        VerificationFailed: a row failed; the others as for ``bake``.
    """
    if image is not None:
        parse_reference(image, where="IMAGE")
    loaded = load_to_build(reporter, choices)
    facts = facts_of(loaded, choices)
    probe = ask(facts)
    graph = graph_of(loaded, choices)
    if gpu:
        verify_gpu.require(image or facts.image)  # before anything is built
    # An image by name takes the place of the one that would be built.
    parts = tuple(name for name in graph[VERIFY].inputs.values() if name != IMAGE) if image else ()
    with held(facts.folder, reporter.note):
        rendered = rendered_to(graph, facts.folder)
        job = prepare(reporter, loaded.recipe, facts, probe, rendered, destination=Destination.NOWHERE, targets=parts)
        report = build.check(job, image=image)
        if gpu:
            report = merged(report, verify_gpu.check(job, image or facts.image))
    _show(reporter, report, form)
    require_passed(report)


def verify_statements(reporter: Reporter, choices: Choices, *, image: str, form: str) -> None:
    """Check who signed an image in a registry and what it was made from, against recipe and lock; show the rows.

    Raises:
        VerificationFailed: a row failed. UsageError: nobody is trusted here. EnvironmentUnfit: it can't be read.
    """
    loaded = load(reporter, choices)
    report = verify_provenance.check(loaded.recipe, facts_of(loaded, choices), image)
    _show(reporter, report, form)
    require_passed(report, remedy="don't use the image, unless you know why; `bake --push --sign-key` makes it anew")


def _show(reporter: Reporter, report: VerificationReport, form: str) -> None:
    if form == "json":
        reporter.document(as_json(report))
    elif form == "junit":
        reporter.document(as_junit(report))
    else:
        show_table(reporter, report)


def report(reporter: Reporter, folder: Path, *, form: str, output: Path | None, ca_bundle: Path | None = None) -> None:
    """Report on the last bake of a build folder.

    Raises:
        UsageError: nothing was baked there. EnvironmentUnfit: the report can't be written.
    """
    reporting.write(reporter, reporting.gather(folder, ca_bundle=ca_bundle), form=form, output=output)


def ci(reporter: Reporter, choices: Choices, options: CiOptions, *, output: Path | None, force: bool) -> None:
    """Write the recipe's CI file to its place, whose path goes to stdout, or to stdout itself.

    Raises:
        UsageError: a value that can't stand in a CI file; another file stands there.
        EnvironmentUnfit: it can't be written.
    """
    site = site_of(reporter, choices)
    settings = finish(options, recipe=choices.recipe, registry=choices.registry or site.site.registry or "")
    graph = graph_of(load(reporter, choices, site), choices)
    text = render_ci(settings, graph)
    if output is None:
        reporter.document(text)
        return
    path = place_of(output, options.system, graph.recipe)
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
    loaded = load(reporter, choices)
    recipe = loaded.recipe
    for name in names:
        if name not in recipe.assets:
            known = ", ".join(recipe.assets) or "none"
            raise UsageError(f"there is no asset {name!r}", where=choices.recipe, remedy=f"assets: {known}")
    facts = facts_of(loaded, choices)
    wanted = [request for request in requests_here(recipe, facts) if not names or request.name in names]
    if not wanted:
        reporter.note(f"the recipe {recipe.name} has no assets; nothing to fetch")
    fetching.fetch_all(reporter, wanted, Store(facts.assets_folder), facts=facts, again=again)


def run(reporter: Reporter, choices: Choices, options: RunOptions, *, dry_run: bool) -> int:
    """Run the image as its users do; gives the container's exit status.

    Raises:
        UsageError, EnvironmentUnfit: what was found before anything started. Interrupted: Ctrl-C.
    """
    loaded = load(reporter, choices)
    return running.run(reporter, loaded.recipe, facts_of(loaded, choices), options, dry_run=dry_run)


def clean(reporter: Reporter, choices: Choices, wanted: Wanted, *, yes: bool, dry_run: bool) -> None:
    """List what earlier bakes left, ask, and remove it.

    Raises:
        EnvironmentUnfit: something could not be removed.
    """
    loaded = load(reporter, choices)
    facts = facts_of(loaded, choices)
    place = cleaning.Place(build=facts.folder, assets=facts.assets_folder, builder=facts.builder)
    cleaning.clean(reporter, loaded.recipe, place, wanted, yes=yes, dry_run=dry_run)


def doctor(reporter: Reporter, choices: Choices, *, form: str, fix: bool = False) -> None:
    """Check the surroundings and say how to mend them, or mend what can be.

    Raises:
        EnvironmentUnfit: a check found an error.
    """
    loaded = load(reporter, choices)
    examining.examine(reporter, loaded.recipe, facts_of(loaded, choices), form=form, fix=fix)
