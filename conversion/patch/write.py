"""Patches the source below some folders, and writes only what changed.

    python -m conversion.patch.write --root DIR [--root …] --out DIR --report FILE

Changed files go below OUT under their absolute path, with mode and owner kept; the sources stay as they are.
Changes ``*.py`` and scripts whose first line asks for Python. Other text that mentions torch.load (notebooks, shell,
Cython) is reported by line, and what can't be looked at by name; a link to a file below a root is patched where the
file is, any other is reported.

The report: ``{"schema": 1, "roots", "files", "changed": [{"file", "sha256", "edits": [{"line", "column", "before",
"after"}]}], "undecided": [{"file", "line", "column", "code", "reason", "bare"}], "skipped": [{"file", "reason"}],
"counts": {"calls_changed", "places_undecided", "of_them_bare", "files_changed", "files_skipped", "other_files"}}``,
"files" counts the Python files, "other_files" the other texts that were looked through.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from conversion import failures, files
from conversion.failures import SpecError
from conversion.patch import source_files, text_mentions
from conversion.patch.source_files import SourceFile
from conversion.patch.torch_load import Result, Undecided, shown, transform


@dataclass(frozen=True)
class Looked:
    """What was found in one file.

    Attributes:
        file: its path.
        python: whether it is Python.
        result: what the codemod makes of it; None where it isn't to be changed.
        undecided: the places for a person to look at.
        skipped: why it can't be looked at, or None.
    """

    file: str
    python: bool
    result: Optional[Result] = None
    undecided: Tuple[Undecided, ...] = ()
    skipped: Optional[str] = None


def real_roots(roots: Sequence[str]) -> List[str]:
    """The roots with links resolved, each once.

    Raises:
        SpecError: a root doesn't exist.
    """
    absent = [root for root in roots if not os.path.exists(root)]
    if absent:
        raise SpecError(f"no such folder to patch: {', '.join(absent)}")
    return sorted({os.path.realpath(root) for root in roots})


def scan(roots: Sequence[str]) -> List[Looked]:
    """Run the codemod over every file below the roots (as `real_roots` gives them), and write nothing.

    Names that one file has for torch or its load and another imports are followed over as many files as it takes.
    """
    found = [_look(item, {}) for item in source_files.below(roots)]
    known: Dict[str, str] = {}
    while True:
        new = {name: what for item in found for name, what in _exported(item) if name not in known}
        if not new:
            return found
        known.update(new)
        words = [name.rpartition(".") for name in new]
        pairs = {(module.encode("utf-8", "replace"), name.encode("utf-8", "replace")) for module, _, name in words}
        found = [_again(item, known, pairs) for item in found]


def _exported(item: Looked) -> Iterator[Tuple[str, str]]:
    """What other files can import of a file's own names for torch, as "module.name"."""
    if item.result is None or not item.result.exports:
        return
    folder, name = os.path.split(item.file)
    module = os.path.splitext(name)[0]
    modules = [os.path.basename(folder), ""] if module == "__init__" else [module]
    for exported, what in item.result.exports.items():
        yield from ((f"{each}.{exported}", what) for each in modules)


def _again(item: Looked, known: Mapping[str, str], pairs: Set[Tuple[bytes, bytes]]) -> Looked:
    """Look at a file once more where its text has one of the new names and the module that it comes from."""
    if item.result is None:
        return item
    for again in source_files.look_at(item.file):
        source = again.source or b""
        if any(name in source and module in source for module, name in pairs):
            return _look(replace(again, python=True), known)
    return item


def _look(item: SourceFile, known: Mapping[str, str]) -> Looked:
    if item.source is None:
        return Looked(item.path, item.python, skipped=item.reason)
    if not item.python:
        return Looked(item.path, python=False, undecided=_in_text(item.source, "isn't Python source, which is left"))
    result = transform(item.source, known)
    if item.link is None:
        undecided = _in_text(item.source, result.error) if result.error else result.undecided
        return Looked(item.path, True, result, undecided, result.error)
    if not (result.edits or result.undecided or result.error):
        return Looked(item.path, True)
    why = result.error or f"has {len(result.edits)} calls to change and {len(result.undecided)} undecided places"
    return Looked(item.path, True, skipped=f"a link to {item.link}, which is below no root and {why}")


def _in_text(source: bytes, why: str) -> Tuple[Undecided, ...]:
    """The mentions in a file that isn't read as Python, found by their look."""
    found = text_mentions.lines(source.decode("utf-8", "replace"))
    return tuple(
        Undecided(line, column, shown(code), f"torch.load in a file that {why}") for line, column, code in found
    )


def patch(roots: Sequence[str], out: Path) -> Dict[str, Any]:
    """Write the changed files below `out`; returns the report."""
    real = real_roots(roots)
    found = scan(real)
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


def main() -> int:
    """Patch below ``--root`` and write the report."""
    parser = argparse.ArgumentParser(prog="python -m conversion.patch.write", description=__doc__)
    parser.add_argument("--root", required=True, action="append")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--report", required=True, type=Path)
    options = parser.parse_args()
    report = patch(options.root, options.out)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(report)
    return 0


if __name__ == "__main__":
    failures.run(main)
