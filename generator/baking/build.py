"""Bake, verify, publish: the part of the pipeline that uses the engine."""

from __future__ import annotations

import dataclasses
import os
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.errors import BuildFailed, EnvironmentUnfit, UpliftError
from generator.baking.publish import UNNAMED, digest_in, publish
from generator.reuse.wheels import Reuse
from generator.verification.report import VerificationReport, read_report, require_passed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import PurePosixPath

    from bake.buildx.driver import BakeOutcome
    from bake.progress.events import Step
    from generator.baking.archive import Archive
    from generator.baking.preflight import Asked
    from generator.console.reporter import Reporter
    from generator.plan import Graph
    from generator.recipe import Recipe
    from generator.resolve.resolve import Choices, Facts

IMAGE, VERIFY = "image", "verify"
REPORT, JUNIT = "report.json", "junit.xml"
# Variables of the bake file that come from the environment here too, as they do for users of plain buildx.
PASSED_ON = ("MAX_JOBS", "NVCC_THREADS")
# On the engine that builds, without a name: names are given when verification passed.
NAMELESS = {f"{IMAGE}.tags": ""}
# A BuildKit that is not the engine's own would keep the image in its cache, where nobody finds it: it is sent to the
# engine instead. Compressing what is unpacked on arrival costs time; the base's layers stay as they are.
LOADED = {f"{IMAGE}.output": "type=docker,compression=uncompressed"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One bake: the recipe, what was decided for it, and the rendered bake file.

    Args:
        files: what is rendered. own_builder, context, insecure: as in ``surroundings.Fit``.
    """

    reporter: Reporter
    recipe: Recipe
    facts: Facts
    choices: Choices
    file: Path
    graph: Graph
    files: Mapping[PurePosixPath, bytes]
    reuse: Reuse = field(default_factory=Reuse)
    own_builder: bool = True
    context: str | None = None
    insecure: bool = False

    @property
    def folder(self) -> Path:
        """The build folder."""
        return self.file.parent

    @property
    def loaded(self) -> dict[str, str]:
        """Overrides that put the image onto the engine, from wherever it is built."""
        return {} if self.own_builder else LOADED


def show_dry_run(job: Job, targets: tuple[str, ...], *, push: bool, archive: Archive | None = None) -> None:
    """Say what would be baked; nothing is built."""
    wanted = targets or (VERIFY, IMAGE)
    needed = {name for target in wanted for name in (target, *job.graph.ancestors(target))}
    for name in job.graph.names:
        if name in needed:
            job.reporter.data(f"{name}\t{job.graph[name].description}")
    job.reporter.note(f"dry run: {job.file} is written; nothing was built")
    if not targets:
        saved = f", and saved as {archive.path}" if archive else ""
        job.reporter.note(f"the image would be {job.facts.image}{', and pushed' if push else ''}{saved}")


def settle(job: Job, asked: Asked, *, push: bool, load: bool = True) -> Job:
    """Check the surroundings before anything starts, pin the base image to its digest, and ask the wheel stores.

    Args:
        asked: what ``surroundings.ask`` began. push: the image goes to a registry. load: it goes to the engine.

    Raises:
        EnvironmentUnfit: engine, buildx, base, disk or registry are not fit.
    """
    from generator.baking.preflight import require_fit
    from generator.reuse import registry_cache
    from generator.reuse.wheels import prepare

    probe = registry_cache.ask(job.facts)
    warn = job.reporter.warning
    fit = require_fit(job.recipe, job.facts, asked, folder=job.folder, push=push, load=load, warn=warn)
    facts = dataclasses.replace(
        job.facts, base=fit.base, inherited=fit.inherited, platform=fit.platform or job.facts.platform
    )
    facts = registry_cache.reachable(facts, probe, warn=warn)
    job = dataclasses.replace(job, facts=facts, own_builder=fit.own_builder)
    return prepare(dataclasses.replace(job, context=fit.context, insecure=fit.insecure))


def bake_targets(job: Job, targets: tuple[str, ...], *, require_warm: bool = False) -> None:
    """Bake chosen targets; what they make stays in the build cache and the wheel store, or where the bake file says."""
    stored = {wheel.target: wheel.reference for wheel in job.reuse.shelf.wheels if wheel.reference}
    for name in targets:
        if name in stored:
            job.reporter.note(f"{name} is in the wheel store: {stored[name]}")
    left = tuple(name for name in targets if name not in stored)
    if not left:
        return
    overrides = job.loaded if IMAGE in left else {}
    job, outcome, path = _build(job, left, require_warm=require_warm, overrides=overrides)
    outcome.raise_for_failure()
    job.reporter.note(f"baked {', '.join(left)} in {outcome.seconds:.1f} s; every step is in {path}")


def bake_verified(
    job: Job,
    *,
    push: bool,
    archive: Archive | None = None,
    require_warm: bool = False,
) -> None:
    """Build and verify; the tag moves, and the image is pushed or saved, only after every check passed.

    An image that is saved as a file is stored on the engine no more than one that is pushed.
    """
    from generator.baking.early_export import packed_early

    # A pushed image is not stored on the engine too: storing would unpack every layer, the base's included. Who wants
    # it there pulls it; its blobs are there already. The engine's own BuildKit stores the image while it is verified.
    stored = not push and archive is None and job.own_builder
    targets = (VERIFY, IMAGE) if push or stored else (VERIFY,)
    overrides = UNNAMED if push else NAMELESS if stored else {}
    with packed_early(job, stored=not push and archive is None) as early:
        targets, overrides = (*targets, *early.targets), {**overrides, **early.overrides}
        job, built, path = _build(job, targets, require_warm=require_warm, overrides=overrides)
        built.raise_for_failure()
        with _removed_on_failure(job, built) if stored else nullcontext():
            require_passed(_report(job, job.facts.image))
        if push:
            exported, publication = publish(job, built, run)
            _record(job, built, exported, more={"published": publication.as_data()})
            exported.raise_for_failure()
            _show_result(job, built, exported, path, tags=publication.tags)
        elif archive is None:
            exported = (_named(job, built) if stored else None) or run(job, (IMAGE,), overrides=job.loaded)
            _record(job, built, exported)
            exported.raise_for_failure()
            _show_result(job, built, exported, path)
    if archive is not None:
        _save(job, built, archive)


@contextmanager
def _removed_on_failure(job: Job, built: BakeOutcome) -> Iterator[None]:
    """Leave nothing on the engine of an image that does not pass; what it cannot remove now `clean` does."""
    from bake.engine.facts import remove_nameless

    try:
        yield
    except UpliftError:
        digest = digest_in(built.metadata)
        with suppress(EnvironmentUnfit):
            if digest:
                remove_nameless(digest, context=job.context)
        raise


def _named(job: Job, built: BakeOutcome) -> BakeOutcome | None:
    """Give the image that the bake stored its names; None where buildx did not tell its digest.

    Raises:
        EnvironmentUnfit: the engine does not.
    """
    from bake.engine.facts import name_image

    digest = digest_in(built.metadata)
    if not digest:
        return None
    names = job.facts.names
    name_image(digest, names, context=job.context)
    image = {**built.metadata[IMAGE], "image.name": ",".join(names)}
    return dataclasses.replace(built, steps=(), started=built.completed, metadata={**built.metadata, IMAGE: image})


def warm(job: Job) -> None:
    """Build and verify, so that all caches are full and the wheels are in the store; export no image.

    Raises:
        EnvironmentUnfit: a wheel could not be pushed. BuildFailed, VerificationFailed, Interrupted: as for a bake.
    """
    job, built, path = _build(job, (VERIFY,), keeping_required=True)
    built.raise_for_failure()
    require_passed(_report(job, job.facts.image))
    job.reporter.note(f"warm in {built.seconds:.1f} s: a bake of the same recipe compiles nothing; see {path}")


def _build(
    job: Job,
    targets: tuple[str, ...],
    *,
    require_warm: bool = False,
    keeping_required: bool = False,
    overrides: Mapping[str, str] | None = None,
) -> tuple[Job, BakeOutcome, Path]:
    """Bake with what can be reused, keep what is new, and record both; the outcome may be a failure.

    Returns:
        the job, without those wheels that a store could not give after all; how it went; the record.
    """
    from generator.reuse import registry_cache
    from generator.reuse import wheels as reuse
    from generator.reuse.cache_summary import show_proof

    needed = {name for target in targets for name in (target, *job.graph.ancestors(target))}
    missing = tuple(wheel for wheel in job.reuse.shelf.missing if wheel.target in needed)
    if missing and not require_warm:
        reuse.load_compiler_caches(job, missing)
    refuse = reuse.is_for_compile if require_warm else None
    outcome = run(job, targets, overrides=overrides, refuse=refuse, fills_cache=True)
    if (without := reuse.without_broken(job, outcome)) is not None:
        job = without
        outcome = run(job, targets, overrides=overrides, refuse=refuse, fills_cache=True)
    path = _record(job, outcome)
    if outcome.refused:
        raise _not_warm(job, outcome)
    registry_cache.mark(job, outcome)
    if (mended := registry_cache.without_gaps(job, outcome)) is not None:
        registry_cache.mark(mended, run(mended, targets, overrides=overrides, fills_cache=True))
    pushed = reuse.keep(job, outcome, required=keeping_required)
    show_proof(job.reporter, outcome, job.reuse.shelf, pushed)
    return job, outcome, path


def _not_warm(job: Job, outcome: BakeOutcome) -> BuildFailed:
    missing = ", ".join(f"{wheel.target} (key {wheel.key.digest[:12]})" for wheel in job.reuse.shelf.missing)
    store = job.facts.caches.wheels or "no wheel store is named"
    return BuildFailed(
        f"{outcome.failure}; not in the wheel store ({store}): {missing or 'nothing'}",
        where="--require-warm",
        remedy="run `warm` for this recipe and registry where it may compile; `plan --why TARGET` says what changed",
    )


def _record(
    job: Job, built: BakeOutcome, exported: BakeOutcome | None = None, *, more: Mapping[str, Any] | None = None
) -> Path:
    from bake.buildx.results import joined, record
    from generator.reuse.cache_summary import as_data

    outcome = joined(built, exported) if exported else built
    return record(
        outcome, recipe=job.recipe.name, folder=job.folder, more={**as_data(built, job.reuse), **(more or {})}
    )


def _save(job: Job, built: BakeOutcome, archive: Archive) -> None:
    with archive.writing() as part:
        saved = run(job, (IMAGE,), overrides={f"{IMAGE}.output": archive.exporter(part)}, writes=part.parent)
        _record(job, built, saved)
        saved.raise_for_failure()
    job.reporter.data(str(archive.path))
    job.reporter.note(f"{job.facts.image} is verified and saved ({saved.seconds:.1f} s); there: {archive.use}")


def check(job: Job, *, image: str | None) -> VerificationReport:
    """Run the checks on an image by name; None: on the recipe's, as the bake file builds it."""
    from generator.baking.preflight import pinned_for

    found = image if image is None or job.own_builder else pinned_for(job.facts, image)
    overrides = {} if found is None else {f"{VERIFY}.contexts.image": f"docker-image://{found}"}
    outcome = run(job, (VERIFY,), overrides=overrides)
    outcome.raise_for_failure()
    return _report(job, image or job.facts.image)


def _report(job: Job, image: str) -> VerificationReport:
    """Read the report, and write it for CI systems too, whether it passed or not."""
    from generator.verification.junit import as_junit

    report = read_report(job.folder / VERIFY / REPORT, image=image)
    (job.folder / VERIFY / JUNIT).write_text(as_junit(report), encoding="utf-8")
    return report


def run(
    job: Job,
    targets: tuple[str, ...],
    *,
    variables: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    writes: Path | None = None,
    refuse: Callable[[Step], bool] | None = None,
    fills_cache: bool = False,
) -> BakeOutcome:
    """Run one bake of the job's file, shown as the user wants it; the outcome may be a failure.

    Args:
        variables: values of bake variables besides those of the job. overrides: ``--set`` values. writes: a folder
            outside the build folder that is written. refuse: tells which steps may not run. fills_cache: write the
        registry cache too; once is enough in one job.
    """
    from bake.buildx.driver import BakeRequest, run_bake
    from bake.credentials import docker_login_env
    from bake.failure.cache_troubles import troubles
    from bake.progress.display import ProgressMode, display

    here = Path.cwd()
    read = (job.folder, job.facts.ca_bundle, job.facts.netrc, *job.facts.assets.values())
    outside = [path for path in read if path and not path.resolve().is_relative_to(here)]
    request = BakeRequest(
        file=job.file,
        targets=targets,
        variables={
            **{name: os.environ[name] for name in PASSED_ON if os.environ.get(name)},
            **job.facts.variables(),
            **job.reuse.variables(),
            **(variables or {}),
            "BUILD_DIR": job.folder.as_posix(),
            "MIRRORS": _mirrors(job),
        },
        overrides={**(overrides or {}), **({} if fills_cache else {"*.cache-to": ""})},
        refuse=refuse,
        builder=job.facts.builder,
        metadata_file=job.folder / "metadata.json",
        allow=tuple(path.resolve() for path in outside),
        allow_write=(writes.resolve(),) if writes else (),
        context=here,
    )
    # buildx itself asks a registry's token server for tokens; certs.d of the engine does not count there.
    trusted = {"SSL_CERT_FILE": str(job.facts.ca_bundle)} if job.facts.ca_bundle else {}
    with docker_login_env(job.facts.keyring) as environment, display(ProgressMode(job.choices.progress)) as listener:
        outcome = run_bake(dataclasses.replace(request, environment={**trusted, **environment}), listener)
    for sentence in troubles(outcome.steps):
        job.reporter.warning(sentence)
    return outcome


def _mirrors(job: Job) -> str:
    """Write the table of mirrors beside the bake file, where there is one; it goes in as a secret, as a place's own."""
    from generator.resolve.site import secret_table

    file = job.folder / "mirrors.txt"
    text = secret_table(job.facts.mirrors, job.facts.checksums)
    if not text:
        file.unlink(missing_ok=True)
        return ""
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return file.as_posix()


def _show_result(
    job: Job, built: BakeOutcome, exported: BakeOutcome, results: Path, *, tags: tuple[str, ...] = ()
) -> None:
    digest = exported.metadata.get(IMAGE, {}).get("containerimage.digest", "")
    job.reporter.data(f"{job.facts.image}@{digest}" if digest else job.facts.image)
    seconds = built.seconds + exported.seconds
    where = f"pushed as {', '.join(tag.rpartition(':')[2] for tag in tags)}" if tags else "on this engine"
    job.reporter.note(
        f"{job.facts.image} is verified and {where} ({seconds:.1f} s); checks in {job.folder / VERIFY / REPORT}, "
        f"every step in {results}"
    )
