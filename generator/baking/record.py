"""Writes what is kept of a bake: its record, ``results.json``, and the report of its verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bake import untrusted
from bake.buildx import results
from bake.errors import BuildFailed, EnvironmentUnfit
from generator.plan.names import VERIFY
from generator.reuse.cache_summary import as_data
from generator.verification.junit import as_junit
from generator.verification.report import REPORT, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bake.buildx.driver import BakeOutcome
    from generator.job import Job
    from generator.verification.report import VerificationReport

JUNIT = "junit.xml"


def record(
    job: Job, built: BakeOutcome, exported: BakeOutcome | None = None, *, more: Mapping[str, Any] | None = None
) -> Path:
    """Write it, and give its path.

    Args:
        built: the bake. exported: what followed it and delivered the image. more: what else belongs into the record.

    Raises:
        EnvironmentUnfit: it can't be written. Where the bake failed too, that is what is told, and this a warning.
    """
    outcome = results.joined(built, exported) if exported else built
    more = {**as_data(built, job.reuse), **(more or {})}
    try:
        return results.record(outcome, recipe=job.recipe.name, folder=job.folder, more=more)
    except OSError as error:
        path, reason = job.folder / results.FILE_NAME, error.strerror or str(error)
        if outcome.failure is None:
            raise EnvironmentUnfit(
                f"the record of the bake can't be written: {reason}", where=str(path), remedy="free space, bake again"
            ) from None
        job.reporter.warning(f"{path}: the record of the bake can't be written: {reason}")
        return path


def write_report(folder: Path, report: VerificationReport) -> None:
    """Write the report of a verification below the build folder, for CI systems too.

    Raises:
        BuildFailed: it can't be written.
    """
    place = folder / VERIFY
    try:
        place.mkdir(exist_ok=True)
        untrusted.write(place, REPORT, as_json(report))
        untrusted.write(place, JUNIT, as_junit(report))
    except OSError as error:
        raise BuildFailed(f"the report can't be written: {error}", where=str(place)) from None
