"""Appends the summary of a bake to the file that GitHub Actions shows with the step (``GITHUB_STEP_SUMMARY``)."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bake.buildx.results import FILE_NAME, Results, load
from bake.errors import UpliftError
from generator.ci.summary import NEEDS, summary
from generator.console import github
from generator.plan.names import VERIFY
from generator.verification.report import VerificationReport, read_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def step_summary(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Write the summary when the bake within is over, however it ends; nothing outside of GitHub Actions.

    Args:
        folder: the build folder. environ: the environment; None: the process's own.
    """
    environ = os.environ if environ is None else environ
    file = environ.get("GITHUB_STEP_SUMMARY")
    if not file or not github.is_active(environ):
        yield
        return
    before = _stamp(folder)
    failure: UpliftError | None = None
    try:
        yield
    except UpliftError as error:
        failure = error
        raise
    finally:
        if _stamp(folder) != before:  # else it ended before there was anything to sum up
            # A summary that can't be written is no reason to fail a bake.
            with suppress(OSError, UpliftError):
                _append(Path(file), folder, failure)


def _append(file: Path, folder: Path, failure: UpliftError | None) -> None:
    results = load(folder, needs=NEEDS)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(summary(results, _report(results, folder), failure))


def _report(results: Results, folder: Path) -> VerificationReport | None:
    """Read the report of this bake; one that an earlier bake left is not its own."""
    if results.data["targets"].get("verify", {}).get("state") not in ("done", "cached"):
        return None
    return read_report(folder / VERIFY, image="")


def _stamp(folder: Path) -> tuple[int, int] | None:
    try:
        facts = (folder / FILE_NAME).stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns
