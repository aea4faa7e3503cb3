"""The environment as a whole, base against image: conflicts, differences, and what the constraints should have kept."""

from __future__ import annotations

import re
from typing import Dict, Iterator, Sequence, Tuple

from conversion.environment.constraints import released
from conversion.environment.inventory import Inventory
from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, INFO, PASS, Row

_REQUIRES = re.compile(r"^(.*?`[^`]+`.*?requires .*?`[A-Za-z0-9._-]+)")


def rows(image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of conflicts, of what should have stayed as it was, and of all that differs."""
    base, now = image.base_inventory, image.inventory
    named = [*spec.get("versions", {}), *spec.get("absent", []), *spec.get("release", [])]
    yield from conflict_rows(base, now)
    yield from constraint_rows(base, now, named)
    yield from difference_rows(base, now)


def conflict_key(line: str) -> str:
    """A conflict without the versions in it, so that a conflict of the base is known again.

    uv writes "The package `a` requires `b>=2`, but `1.0` is installed"; the key ends at the required name.
    """
    match = _REQUIRES.match(line)
    return match.group(1) if match else line


def conflict_rows(base: Inventory, image: Inventory) -> Iterator[Row]:
    """A failing row per conflict that the base did not have; the ones that it had, or that are gone, are told."""
    before = {conflict_key(line) for line in base.conflicts}
    fresh = [line for line in image.conflicts if conflict_key(line) not in before]
    for line in fresh:
        yield Row("conflict", _package(line), "none that the base lacks", "a new one", FAIL, line)
    if not fresh:
        text = f"{len(image.conflicts)} conflicts, the base had {len(base.conflicts)}"
        yield Row("conflict", "environment", "none that the base lacks", "none", PASS, text)
    for line in image.conflicts:
        if conflict_key(line) in before:
            yield Row("conflict", _package(line), "", "the base has it too", INFO, line)


def _package(line: str) -> str:
    match = re.search(r"`([^`]+)`", line)
    return match.group(1) if match else "environment"


def changes(base: Inventory, image: Inventory) -> Dict[str, Tuple[str, str]]:
    """What differs: package → versions in base and image, "" where it isn't installed."""
    names = sorted({*base.packages, *image.packages})
    pairs = {name: (base.packages.get(name, ""), image.packages.get(name, "")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def difference_rows(base: Inventory, image: Inventory) -> Iterator[Row]:
    """One row per package that is new, gone or of another version; they only inform."""
    for name, (before, after) in changes(base, image).items():
        kind = "changed" if before and after else ("added" if after else "removed")
        yield Row("difference", name, before or "not installed", after or "not installed", INFO, kind)
    if base.python != image.python:
        yield Row("difference", "python", base.python, image.python, INFO, "changed")


def constraint_rows(base: Inventory, image: Inventory, named: Sequence[str]) -> Iterator[Row]:
    """A failing row per package of the base that changed though the recipe does not name it.

    Args:
        base: the base's inventory.
        image: the image's inventory.
        named: names and globs of what may differ.
    """
    moved = [
        (name, before, after)
        for name, (before, after) in changes(base, image).items()
        if before and not released(name, named)
    ]
    for name, before, after in moved:
        detail = "the recipe does not name it: add it to the recipe, or keep it at its version"
        yield Row("constraint", name, before, after or "not installed", FAIL, detail)
    if not moved:
        kept = sum(1 for name in base.packages if not released(name, named))
        yield Row("constraint", "environment", f"{kept} packages as in the base", "unchanged", PASS)
