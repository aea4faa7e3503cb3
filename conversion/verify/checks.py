"""The list of checks, in the report's order: a new one is a module with ``rows``, and an entry here."""

from __future__ import annotations

from functools import partial
from typing import Callable, Iterable, List, NamedTuple, Optional, Tuple

from conversion.verify import (
    checkpoints,
    device_rows,
    driver,
    model_rows,
    packages,
    patched_files,
    patched_source,
    sass,
    torch_build,
    torch_libraries,
    torch_load_audit,
    versions,
)
from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, Row, guarded


class Check(NamedTuple):
    """A check: what it and its subject are called where it fails by itself, and what gives its rows.

    A specification that asks for nothing of a check has no row of it. `runs` is true where a program of the image has
    to run for it, whose word the rows then are; the other checks only read files.
    """

    name: str
    subject: str
    rows: Callable[[Image, Spec], Iterable[Row]]
    runs: bool = False


CHECKS: Tuple[Check, ...] = (
    Check("version", "environment", versions.rows),
    Check("cuda", "torch", torch_build.rows, runs=True),
    Check("library", "torch", torch_libraries.rows, runs=True),
    Check("sass", "extensions", sass.rows),
    Check("driver", "image", driver.rows),
    Check("device", "image", device_rows.rows),
    Check("device", "packages held back", device_rows.held_back_rows, runs=True),
    Check("model", "models", model_rows.rows, runs=True),
    Check("checkpoint", "files", checkpoints.rows, runs=True),
    Check("patch", "patched files", patched_files.rows),
    Check("patch", "source", patched_source.rows),
    Check("torch-load", "elsewhere", torch_load_audit.rows),
    Check("conflict", "environment", packages.rows, runs=True),  # uv asks the image's Python where its packages are
)


def verify(image: Image, spec: Spec, runs: Optional[bool] = None) -> List[Row]:
    """The rows of every check, or only of those that run programs of the image, or that don't."""
    rows: List[Row] = []
    for check in CHECKS:
        if runs not in (None, check.runs):
            continue
        done = guarded(check.name, check.subject, partial(check.rows, image, spec))
        rows.extend(done)
        failed = [row for row in done if row.status == FAIL]
        if done:
            print(f"{check.name} {check.subject}: {len(done)} rows, {len(failed)} failed", flush=True)
        for row in failed:
            print(f"  FAIL {row.check} {row.subject}: expected {row.expected}, found {row.found}; {row.detail}")
    return rows
