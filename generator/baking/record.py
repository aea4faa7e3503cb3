"""Writes the record of a bake, ``results.json``, with what was reused and what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bake.buildx import results
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
    """
    outcome = results.joined(built, exported) if exported else built
    return results.record(
        outcome, recipe=job.recipe.name, folder=job.folder, more={**as_data(built, job.reuse), **(more or {})}
    )
