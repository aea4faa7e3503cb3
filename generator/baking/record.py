"""Writes the record of a bake, ``results.json``, with what was reused and what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bake.buildx import results
from bake.errors import EnvironmentUnfit
from generator.reuse.cache_summary import as_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bake.buildx.driver import BakeOutcome
    from generator.job import Job


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
