"""Bakes the target that resolves what is to be locked, and takes what it found: the files of each group."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from bake import untrusted
from bake.errors import BuildFailed
from generator.job import run
from generator.plan.names import LOCK
from generator.recipe.lock import LockedFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from generator.job import Job

LIMIT = 4 << 20  # bytes: a group of 100 files has some 15 KB
_FILES = TypeAdapter(LockedFiles)


def resolve_files(job: Job, groups: Sequence[str]) -> dict[str, LockedFiles]:
    """Resolve groups of files, and give the name and SHA-256 of each; the indexes are asked, whatever is cached.

    Raises:
        BuildFailed: a step failed, or left something else than such a list. Interrupted: Ctrl-C.
    """
    with tempfile.TemporaryDirectory(prefix="image-uplift-") as made:
        folder = Path(made, "out")  # fresh, and made by buildx
        resolving = (job.graph[LOCK].inputs[group] for group in groups)
        overrides = {
            f"{LOCK}.output": f"type=local,dest={folder}",
            **{f"{name}.no-cache": "true" for name in resolving},
        }
        outcome = run(job, (LOCK,), overrides=overrides, writes=Path(made))
        outcome.raise_for_failure()
        return {group: _read(folder, f"{group}.json") for group in groups}


def _read(folder: Path, name: str) -> LockedFiles:
    try:
        return _FILES.validate_python(json.loads(untrusted.read(folder, name, limit=LIMIT)))
    except (OSError, ValueError, RecursionError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise BuildFailed(
            f"the build left no list of files: {first}",
            where=f"target {LOCK}, {name}",
            remedy="run `lock` again; if it stays so, report it with the build's log",
        ) from error
