"""Whether the image's source is patched: the patch's files are in place, and no call of torch.load is left bare."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, Iterator, Sequence

from conversion.patch import real_roots, scan
from conversion.rows import FAIL, INFO, PASS, Row, judged


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
    """One row per bare call that is left below the roots, and one per root where none is."""
    for root in real_roots(roots):
        files = bare = 0
        for item in scan([root]):
            files += 1
            if item["skipped"]:
                yield Row("patch", item["file"], "", "not looked at", INFO, item["skipped"])
            for row in _places(item):
                bare += row.status == FAIL
                yield row
        if not bare:
            yield Row("patch", root, "no bare torch.load", "none", PASS, f"{files} files looked at")


def _places(item: Dict[str, Any]) -> Iterator[Row]:
    result = item["result"]
    if result is None:
        return
    for edit in result.edits:
        subject = f"{item['file']}:{edit.line}"
        yield Row("patch", subject, "no bare torch.load", "a bare call", FAIL, edit.before)
    for place in result.undecided:
        subject = f"{item['file']}:{place.line}"
        status = FAIL if place.bare else INFO
        found = "a bare call" if place.bare else "undecided"
        yield Row("patch", subject, "no bare torch.load", found, status, f"{place.reason}: {place.code}")
