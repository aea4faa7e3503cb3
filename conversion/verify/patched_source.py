"""Whether any call that a codemod changes was left as it was below the recipe's roots.

A place that can't be decided and a file that can't be looked at inform: a person has to judge. A call that certainly
runs as it was fails, whatever the reason for leaving it.
"""

from __future__ import annotations

from typing import Collection, Iterator, Sequence

from conversion.patch import source_files
from conversion.patch.codemods import CODEMODS
from conversion.patch.scan import Looked, real_roots, scan
from conversion.verify.image import Image, Spec
from conversion.verify.rows import FAIL, INFO, Row, judged


def rows(_image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of the recipe's roots."""
    if spec.get("patch_roots"):
        yield from root_rows(spec["patch_roots"], spec["codemods"])


def root_rows(roots: Sequence[str], codemods: Collection[str] = CODEMODS) -> Iterator[Row]:
    """One row per place that is left below the roots and per file that can't be looked at, and one per root.

    A root's own row passes where no call is bare; its detail counts what was looked at and what is left to judge.
    """
    real = real_roots(roots)
    for name in codemods:
        found = scan(real, [name])
        expected = f"no bare {CODEMODS[name].call}"
        for root in real:
            inside = [item for item in found if source_files.is_below(item.file, [root])]
            left = [row for item in inside for row in _rows(item, expected)]
            yield from left
            bare = sum(row.status == FAIL for row in left)
            skipped = sum(bool(item.skipped) for item in inside)
            shown = f"{bare} bare calls" if bare else "none"
            undecided = len(left) - bare - skipped
            detail = f"{len(inside)} files looked at, {undecided} places undecided, {skipped} files left"
            yield judged("patch", root, expected, shown, not bare, detail)


def _rows(item: Looked, expected: str) -> Iterator[Row]:
    if item.skipped:
        yield Row("patch", item.file, "", "not looked at", INFO, item.skipped)
    for edit in item.result.edits if item.result else ():
        yield Row("patch", f"{item.file}:{edit.line}", expected, "a bare call", FAIL, edit.before)
    for place in item.undecided:
        status, found = (FAIL, "a bare call") if place.bare else (INFO, "undecided")
        detail = f"{place.reason}: {place.code}"
        yield Row("patch", f"{item.file}:{place.line}", expected, found, status, detail)
