"""Writes the files that codemods change, and tells what was done.

Changed files go below a folder under their absolute path, with mode and owner kept; the sources stay as they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, Collection, Dict, Sequence

from conversion import files
from conversion.patch.codemods import CODEMODS
from conversion.patch.scan import real_roots, scan


def patch(roots: Sequence[str], out: Path, codemods: Collection[str] = CODEMODS) -> Dict[str, Any]:
    """Write the changed files below `out`; returns the report."""
    real = real_roots(roots)
    found = scan(real, codemods)
    out.mkdir(parents=True, exist_ok=True)
    changed = []
    for item in found:
        if item.result is not None and item.result.edits:
            files.place(out, item.file, item.result.source)
            digest = hashlib.sha256(item.result.source).hexdigest()
            changed.append({"file": item.file, "sha256": digest, "edits": [asdict(edit) for edit in item.result.edits]})
    undecided = [{"file": item.file, **asdict(place)} for item in found for place in item.undecided]
    skipped = [{"file": item.file, "reason": item.skipped} for item in found if item.skipped]
    return {
        "schema": 1,
        "roots": real,
        "files": sum(item.python for item in found),
        "changed": changed,
        "undecided": undecided,
        "skipped": skipped,
        "counts": {
            "calls_changed": sum(len(entry["edits"]) for entry in changed),
            "places_undecided": len(undecided),
            "of_them_bare": sum(place["bare"] for place in undecided),
            "files_changed": len(changed),
            "files_skipped": len(skipped),
            "other_files": sum(not item.python and not item.skipped for item in found),
        },
    }


def show(report: Dict[str, Any]) -> None:
    """Print what was done, one line per place."""
    for entry in report["changed"]:
        for edit in entry["edits"]:
            print(f"{entry['file']}:{edit['line']}: {edit['before']}\n  -> {edit['after']}")
    for item in report["undecided"]:
        print(f"{item['file']}:{item['line']}:{item['column']}: left: {item['reason']}: {item['code']}")
    for item in report["skipped"]:
        print(f"{item['file']}: left: {item['reason']}")
    counts = report["counts"]
    print(
        f"{report['files']} Python files and {counts['other_files']} others looked at, "
        f"{counts['calls_changed']} calls changed in {counts['files_changed']} files, "
        f"{counts['places_undecided']} places undecided, {counts['files_skipped']} files left"
    )
