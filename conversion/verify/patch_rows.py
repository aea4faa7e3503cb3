"""Whether the image's source is patched: the patch's files are in place, and no call of torch.load is left bare.

A place that can't be decided and a file that can't be looked at inform: a person has to judge. A call that certainly
runs without the argument fails, whatever the reason for leaving it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, Iterator, Sequence

from conversion.patch import source_files
from conversion.patch.write import Looked, real_roots, scan
from conversion.verify.rows import FAIL, INFO, Row, judged


def patched_file_rows(report: Dict[str, Any]) -> Iterator[Row]:
    """One row per file that the patch changed: the image must have that content, and it must compile."""
    for entry in report["changed"]:
        path = Path(entry["file"])
        expected = f"{len(entry['edits'])} calls changed"
        try:
            source = path.read_bytes()
            compile(source, str(path), "exec", dont_inherit=True)
        except OSError as error:
            yield judged("patch", str(path), expected, "can't be read", False, str(error.strerror or error))
        except (SyntaxError, ValueError) as error:
            yield judged("patch", str(path), expected, "does not compile", False, str(error))
        else:
            same = hashlib.sha256(source).hexdigest() == entry["sha256"]
            yield judged("patch", str(path), expected, expected if same else "other content", same)


def root_rows(roots: Sequence[str]) -> Iterator[Row]:
    """One row per place that is left below the roots and per file that can't be looked at, and one per root.

    A root's own row passes where no call is bare; its detail counts what was looked at and what is left to judge.
    """
    real = real_roots(roots)
    found = scan(real)
    for root in real:
        inside = [item for item in found if source_files.is_below(item.file, [root])]
        rows = [row for item in inside for row in _rows(item)]
        yield from rows
        bare = sum(row.status == FAIL for row in rows)
        skipped = sum(bool(item.skipped) for item in inside)
        detail = f"{len(inside)} files looked at, {len(rows) - bare - skipped} places undecided, {skipped} files left"
        yield judged("patch", root, "no bare torch.load", f"{bare} bare calls" if bare else "none", not bare, detail)


def _rows(item: Looked) -> Iterator[Row]:
    if item.skipped:
        yield Row("patch", item.file, "", "not looked at", INFO, item.skipped)
    for edit in item.result.edits if item.result else ():
        yield Row("patch", f"{item.file}:{edit.line}", "no bare torch.load", "a bare call", FAIL, edit.before)
    for place in item.undecided:
        status, found = (FAIL, "a bare call") if place.bare else (INFO, "undecided")
        detail = f"{place.reason}: {place.code}"
        yield Row("patch", f"{item.file}:{place.line}", "no bare torch.load", found, status, detail)
