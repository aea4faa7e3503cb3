"""Runs targets of a job: the request, the logins that it needs, and what is shown meanwhile."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bake import untrusted
from bake.buildx.driver import BakeRequest
from bake.credentials import docker_login_env
from bake.errors import EnvironmentUnfit
from bake.failure.cache_troubles import troubles
from bake.progress.display import ProgressMode, display
from generator.plan.names import VERIFY
from generator.resolve.site import secret_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bake.buildx.driver import BakeOutcome
    from bake.progress.events import Step
    from generator.job.job import Job

LOST = "result-lost"  # the cause of causes.toml that a build without the cache gets over
MIRRORS = "mirrors.txt"  # for this user's eyes alone
# Variables of the bake file that come from the environment here too, as they do for users of plain buildx.
PASSED_ON = ("MAX_JOBS", "NVCC_THREADS", "SOURCE_DATE_EPOCH")


def run(
    job: Job,
    targets: tuple[str, ...],
    *,
    variables: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
    writes: Path | None = None,
    refuse: Callable[[Step], bool] | None = None,
    fills_cache: bool = False,
    deadline: float | None = None,
) -> BakeOutcome:
    """Run one bake of the job's file, shown as the user wants it; the outcome may be a failure.

    Targets that fail since BuildKit has lost a result that it counts as cached run again without its cache, with all
    that they read: it would try that result again until it is restarted (https://github.com/moby/buildkit/pull/6808).

    Args:
        variables: values of bake variables besides those of the job. overrides: ``--set`` values. writes: a folder
            outside the build folder that is written. refuse: tells which steps may not run. fills_cache: write the
            registry cache too, unless caches are only read; once is enough in one job. deadline: when it is ended if it
            is not done, in seconds since 1970.
    """
    fills_cache = fills_cache and not job.preflight.caches.readonly
    here = Path.cwd()
    bundle = job.bundle.folder if job.bundle else None
    contexts = job.bundle.contexts(job.graph) if job.bundle else {}
    read = (job.folder, job.facts.ca_bundle, job.facts.netrc, bundle, *job.preflight.assets.values())
    outside = [path for path in read if path and not path.resolve().is_relative_to(here)]
    request = BakeRequest(
        file=job.rendered.file,
        targets=targets,
        variables={
            **job.variables(),
            **{name: os.environ[name] for name in PASSED_ON if os.environ.get(name)},
            **(variables or {}),
            "BUILD_DIR": job.folder.as_posix(),
            "MIRRORS": _mirrors(job),
        },
        overrides={**contexts, **(overrides or {}), **({} if fills_cache else {"*.cache-to": ""})},
        refuse=refuse,
        deadline=deadline,
        builder=job.facts.builder,
        metadata_file=job.folder / "metadata.json",
        allow=tuple(path.resolve() for path in outside),
        allow_write=(writes.resolve(),) if writes else (),
        context=here,
    )
    # buildx itself asks a registry's token server for tokens; certs.d of the engine does not count there.
    trusted = {"SSL_CERT_FILE": str(job.facts.ca_bundle)} if job.facts.ca_bundle else {}
    uncached: frozenset[str] = frozenset()
    while True:
        if VERIFY in targets and f"{VERIFY}.output" not in (overrides or {}):
            clear_verification(job.folder)
        with docker_login_env(job.facts.keyring) as environment, display(ProgressMode(job.facts.progress)) as listener:
            outcome = job.driver(dataclasses.replace(request, environment={**trusted, **environment}), listener)
        lost = _lost(job, outcome)
        if lost <= uncached:
            break
        uncached |= lost
        job.reporter.warning(f"BuildKit has lost results; once more, without its cache for {', '.join(sorted(lost))}")
        without = dict.fromkeys((f"{name}.no-cache" for name in sorted(uncached)), "true")
        request = dataclasses.replace(request, overrides={**request.overrides, **without})
    for sentence in troubles(outcome.steps):
        job.reporter.warning(sentence)
    return outcome


def _lost(job: Job, outcome: BakeOutcome) -> frozenset[str]:
    """Name the targets that may have made a result that is lost: the failed ones and what they read."""
    failed = {step.target for step in outcome.failed if step.known and step.known.id == LOST}
    return frozenset().union(*({name} | job.graph.ancestors(name) for name in failed.intersection(job.graph.names)))


def clear_verification(folder: Path) -> None:
    """Take away what an earlier verification left: this one's report is its own, and goes into a fresh folder.

    Args:
        folder: the build folder.

    Raises:
        EnvironmentUnfit: it can't be removed.
    """
    try:
        untrusted.remove(folder / VERIFY)
    except OSError as error:
        raise EnvironmentUnfit(
            f"what an earlier bake left can't be removed: {error.strerror or error}",
            where=str(folder / VERIFY),
            remedy="remove it by hand",
        ) from None


def _mirrors(job: Job) -> str:
    """Write the table of mirrors beside the bake file, where there is one; it goes in as a secret, as a place's own."""
    text = secret_table(job.facts.mirrors)
    if not text:
        (job.folder / MIRRORS).unlink(missing_ok=True)
        return ""
    try:
        untrusted.write(job.folder, MIRRORS, text, mode=0o600)
    except OSError as error:
        raise EnvironmentUnfit(
            f"the table of mirrors can't be written: {error.strerror or error}",
            where=str(job.folder / MIRRORS),
            remedy="mend permissions and space there",
        ) from None
    return (job.folder / MIRRORS).as_posix()
