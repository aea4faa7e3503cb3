"""Patches the source below some folders, and writes only what changed.

    python -m conversion.patch --root DIR [--root …] --out DIR --report FILE

Changed files go below OUT under their absolute path, with mode and owner kept; the sources stay as they are.
Looks at ``*.py`` and at scripts whose first line asks for Python. Links are not followed: a link to a file
below a root is patched where the file is, any other is reported.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

from conversion import failures, placing
from conversion.failures import SpecError
from conversion.torch_load_codemod import Result, transform


def python_files(root: str) -> Iterator[str]:
    """The Python files below a folder, or the root itself where it is a file; sorted, links not followed."""
    if os.path.isfile(root):
        yield root
        return
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
    for path in sorted(paths):
        name = os.path.basename(path)
        if name.endswith((".py", ".pyw")) or ("." not in name and _is_script(path)):
            yield path


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as opened:
            first = opened.readline(200)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


def real_roots(roots: Sequence[str]) -> List[str]:
    """The roots with links resolved, each once.

    Raises:
        SpecError: a root doesn't exist.
    """
    absent = [root for root in roots if not os.path.exists(root)]
    if absent:
        raise SpecError(f"no such folder to patch: {', '.join(absent)}")
    return sorted({os.path.realpath(root) for root in roots})


def scan(roots: Sequence[str]) -> Iterator[Dict[str, Any]]:
    """Run the codemod over every Python file below the roots, and write nothing.

    Yields:
        Per file: ``file``, ``result`` (None where it can't be looked at) and ``skipped`` (the reason, or
        None).
    """
    seen = set()
    for root in roots:
        for path in python_files(root):
            real = os.path.realpath(path)
            if real in seen:
                continue
            if os.path.islink(path):
                inside = any(real.startswith(other + os.sep) for other in roots)
                if not inside and os.path.isfile(real):
                    yield _skipped_link(path, real)
                continue
            seen.add(real)
            try:
                result = transform(Path(real).read_bytes())
            except OSError as error:
                yield {"file": real, "result": None, "skipped": f"can't be read: {error.strerror or error}"}
                continue
            yield {"file": real, "result": result, "skipped": result.error}


def _skipped_link(path: str, real: str) -> Dict[str, Any]:
    try:
        result = transform(Path(real).read_bytes())
    except OSError:
        return {"file": path, "result": None, "skipped": None}
    reason = f"a link to {real}, which is below no root and has calls to change" if result.edits else None
    return {"file": path, "result": None, "skipped": reason}


def patch(roots: Sequence[str], out: Path) -> Dict[str, Any]:
    """Write the changed files below `out`; returns the report."""
    report: Dict[str, Any] = {
        "schema": 1,
        "roots": [],
        "files": 0,
        "changed": [],
        "undecided": [],
        "skipped": [],
    }
    report["roots"] = real_roots(roots)
    out.mkdir(parents=True, exist_ok=True)
    for item in scan(report["roots"]):
        report["files"] += 1
        result: Result = item["result"]
        if item["skipped"]:
            report["skipped"].append({"file": item["file"], "reason": item["skipped"]})
        if result is None:
            continue
        report["undecided"].extend({"file": item["file"], **asdict(place)} for place in result.undecided)
        if result.edits:
            placing.place(out, item["file"], result.source)
            report["changed"].append(
                {
                    "file": item["file"],
                    "sha256": hashlib.sha256(result.source).hexdigest(),
                    "edits": [asdict(edit) for edit in result.edits],
                }
            )
    return report


def show(report: Dict[str, Any]) -> None:
    """Print what was done, one line per place."""
    for entry in report["changed"]:
        for edit in entry["edits"]:
            print(f"{entry['file']}:{edit['line']}: {edit['before']}\n  -> {edit['after']}")
    for item in report["undecided"]:
        print(f"{item['file']}:{item['line']}:{item['column']}: left: {item['reason']}: {item['code']}")
    for item in report["skipped"]:
        print(f"{item['file']}: left: {item['reason']}")
    edits = sum(len(entry["edits"]) for entry in report["changed"])
    print(
        f"{report['files']} files looked at, {edits} calls changed in {len(report['changed'])} files, "
        f"{len(report['undecided'])} places undecided, {len(report['skipped'])} files left"
    )


def main() -> int:
    """Patch below ``--root`` and write the report."""
    parser = argparse.ArgumentParser(prog="python -m conversion.patch", description=__doc__)
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
