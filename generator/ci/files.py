"""Puts a CI file in its place; what somebody may have edited is not overwritten unasked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit, UsageError
from generator.ci.settings import System

if TYPE_CHECKING:
    from pathlib import Path


def place_of(output: Path, system: System, recipe: str) -> Path:
    """Give the file's path: ``output`` itself, or where the CI system looks, if that is a folder.

    Args:
        output: a file, or the repository's root. recipe: the recipe's name.
    """
    if not output.is_dir():
        return output
    if system is System.GITHUB:
        return output / ".github" / "workflows" / f"uplift-{recipe}.yml"
    return output / ".gitlab-ci.yml"


def write_ci_file(text: str, path: Path, *, force: bool) -> bool:
    """Write the file, in one piece or not at all; tell whether it changed.

    Raises:
        UsageError: another file stands there, and ``force`` was not asked for.
        EnvironmentUnfit: it can't be written.
    """
    try:
        there = path.read_bytes() if path.exists() else None
        if there == text.encode():
            return False
        if there is not None and not force:
            raise UsageError(
                "this file is another one; nothing was changed",
                where=str(path),
                remedy="look at the difference (leave -o out to print the new one), then give --force or another -o",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentUnfit(
            f"the CI file can't be written: {reason}", where=str(path), remedy="mend its folder, or give another -o"
        ) from error
    return True
