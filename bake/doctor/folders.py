"""Looks whether the folders that a bake writes can be written."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Say, Subject, error, ok
from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "folders"


def check(subject: Subject, _engine: Engine) -> Iterator[Finding]:
    """Check each folder, or the nearest one above it that exists: a bake makes the rest."""
    wanted = [*subject.folders, *([subject.assets_folder] if subject.assets and subject.assets_folder else [])]
    for folder in wanted:
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            yield ok(NAME, f"{folder} can be written")
            continue
        above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if above != folder and above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            yield ok(NAME, f"{folder} does not exist yet and can be made", partial(_make, folder))
        else:
            what = "is no folder" if not above.is_dir() else "may not be written"
            yield error(NAME, f"{folder} can't be used: {above} {what}", "choose another folder (-o, --assets-dir)")


def _make(folder: Path, say: Say) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise EnvironmentUnfit(f"it can't be made: {failure.strerror}", where=str(folder)) from failure
    say(f"made {folder}")
