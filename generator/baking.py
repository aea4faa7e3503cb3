"""Bake, verify, publish: the part of the pipeline that uses the engine."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generator.verification import VerificationReport, read_report, require_passed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bake.driver import BakeOutcome
    from generator.plan import Graph
    from generator.recipe import Recipe
    from generator.reporter import Reporter
    from generator.resolve import Choices, Facts
    from generator.saving import Archive

IMAGE, VERIFY = "image", "verify"
REPORT = "report.json"
# Variables of the bake file that come from the environment here too, as they do for users of plain buildx.
PASSED_ON = ("MAX_JOBS", "NVCC_THREADS", "CACHE_REF")
# A pushed image is not stored on the engine too: storing would unpack every layer, the base's included. Who wants it
# there pulls it; its blobs are there already.
PUSHED = {f"{IMAGE}.output": "type=image,push=true,store=false,compression=zstd"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One bake: the recipe, what was decided for it, and the rendered bake file."""

    reporter: Reporter
    recipe: Recipe
    facts: Facts
    choices: Choices
    file: Path

    @property
    def folder(self) -> Path:
        """The build folder."""
        return self.file.parent


def show_dry_run(
    job: Job, graph: Graph, targets: tuple[str, ...], *, push: bool, archive: Archive | None = None
) -> None:
    """Say what would be baked; nothing is built."""
    wanted = targets or (VERIFY, IMAGE)
    needed = {name for target in wanted for name in (target, *graph.ancestors(target))}
    for name in graph.names:
        if name in needed:
            job.reporter.data(f"{name}\t{graph[name].description}")
    job.reporter.note(f"dry run: {job.file} is written; nothing was built")
    if not targets:
        saved = f", and saved as {archive.path}" if archive else ""
        job.reporter.note(f"the image would be {job.facts.image}{', and pushed' if push else ''}{saved}")


def settle(job: Job, *, push: bool) -> Job:
    """Check the surroundings before anything starts, and pin the base image to its digest.

    Raises:
        EnvironmentUnfit: engine, buildx, base, disk or registry are not fit.
    """
    from generator.surroundings import require_fit

    pinned = require_fit(
        job.recipe,
        job.facts,
        folder=job.folder,
        push=push,
        builder=job.facts.builder,
        warn=job.reporter.warning,
    )
    return dataclasses.replace(job, facts=dataclasses.replace(job.facts, base=pinned))


def bake_targets(job: Job, targets: tuple[str, ...]) -> None:
    """Bake chosen targets; what they make stays in the build cache, or where the bake file says."""
    from bake.results import record

    outcome = _run(job, targets)
    path = record(outcome, recipe=job.recipe.name, folder=job.folder)
    outcome.raise_for_failure()
    job.reporter.note(f"baked {', '.join(targets)} in {outcome.seconds:.1f} s; every step is in {path}")


def bake_verified(job: Job, *, push: bool, archive: Archive | None = None) -> None:
    """Build and verify; the tag moves, and the image is pushed or saved, only after every check passed.

    An image that is saved as a file is stored on the engine no more than one that is pushed.
    """
    from bake.results import joined, record

    built = _run(job, (VERIFY,))
    path = record(built, recipe=job.recipe.name, folder=job.folder)
    built.raise_for_failure()
    require_passed(_report(job, job.facts.image))
    if push or archive is None:
        exported = _run(job, (IMAGE,), overrides=PUSHED if push else {})
        record(joined(built, exported), recipe=job.recipe.name, folder=job.folder)
        exported.raise_for_failure()
        if push:
            _warn_of_large_layers(job, exported)
        _show_result(job, built, exported, path, pushed=push)
    if archive is not None:
        _save(job, built, archive)


def _warn_of_large_layers(job: Job, exported: BakeOutcome) -> None:
    """Hold the pushed manifest against the limit: a registry that took a layer may have a proxy that does not."""
    from bake.layer_sizes import MIB, layers_in, listed, too_large
    from bake.reference import parse_reference
    from bake.registry import Registry

    digest = exported.metadata.get(IMAGE, {}).get("containerimage.digest")
    if job.facts.layer_limit_mib is None or not digest:
        return
    reference = dataclasses.replace(parse_reference(job.facts.image), digest=digest)
    layers = layers_in(Registry(reference.registry, ca_bundle=job.facts.ca_bundle), reference)
    large = too_large(layers or {}, job.facts.layer_limit_mib * MIB)
    if large:
        job.reporter.warning(f"layers of more than {job.facts.layer_limit_mib} MiB are in the image: {listed(large)}")


def _save(job: Job, built: BakeOutcome, archive: Archive) -> None:
    from bake.results import joined, record

    with archive.writing() as part:
        saved = _run(job, (IMAGE,), overrides={f"{IMAGE}.output": archive.exporter(part)}, writes=part.parent)
        record(joined(built, saved), recipe=job.recipe.name, folder=job.folder)
        saved.raise_for_failure()
    job.reporter.data(str(archive.path))
    job.reporter.note(f"{job.facts.image} is verified and saved ({saved.seconds:.1f} s); there: {archive.use}")


def check(job: Job, *, image: str | None) -> VerificationReport:
    """Run the checks on an image by name; None: on the recipe's, as the bake file builds it."""
    overrides = {} if image is None else {f"{VERIFY}.contexts.image": f"docker-image://{image}"}
    outcome = _run(job, (VERIFY,), overrides=overrides)
    outcome.raise_for_failure()
    return _report(job, image or job.facts.image)


def _report(job: Job, image: str) -> VerificationReport:
    return read_report(job.folder / VERIFY / REPORT, image=image)


def _run(
    job: Job,
    targets: tuple[str, ...],
    *,
    overrides: Mapping[str, str] | None = None,
    writes: Path | None = None,
) -> BakeOutcome:
    from bake.display import ProgressMode, display
    from bake.driver import BakeRequest, run_bake

    here = Path.cwd()
    read = (job.folder, job.facts.ca_bundle, job.facts.netrc, *job.facts.assets.values())
    outside = [path for path in read if path and not path.resolve().is_relative_to(here)]
    request = BakeRequest(
        file=job.file,
        targets=targets,
        variables={
            **{name: os.environ[name] for name in PASSED_ON if os.environ.get(name)},
            **job.facts.variables(),
            "BUILD_DIR": job.folder.as_posix(),
            "MIRRORS": _mirrors(job),
        },
        overrides=overrides or {},
        builder=job.facts.builder,
        metadata_file=job.folder / "metadata.json",
        allow=tuple(path.resolve() for path in outside),
        allow_write=(writes.resolve(),) if writes else (),
        context=here,
    )
    with display(ProgressMode(job.choices.progress)) as listener:
        return run_bake(request, listener)


def _mirrors(job: Job) -> str:
    """Write the table of mirrors beside the bake file, where there is one; it goes in as a secret, as a place's own."""
    from generator.site import secret_table

    file = job.folder / "mirrors.txt"
    text = secret_table(job.facts.mirrors, job.facts.checksums)
    if not text:
        file.unlink(missing_ok=True)
        return ""
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return file.as_posix()


def _show_result(job: Job, built: BakeOutcome, exported: BakeOutcome, results: Path, *, pushed: bool) -> None:
    digest = exported.metadata.get(IMAGE, {}).get("containerimage.digest", "")
    job.reporter.data(f"{job.facts.image}@{digest}" if digest else job.facts.image)
    seconds = built.seconds + exported.seconds
    where = "pushed" if pushed else "on this engine"
    job.reporter.note(
        f"{job.facts.image} is verified and {where} ({seconds:.1f} s); checks in {job.folder / VERIFY / REPORT}, "
        f"every step in {results}"
    )
