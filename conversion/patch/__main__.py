"""Patches the source below some folders, and writes only what changed.

    python -m conversion.patch --root DIR [--root …] --codemod NAME [--codemod …] --out DIR --report FILE

The report: ``{"schema": 1, "roots", "files", "changed": [{"file", "sha256", "edits": [{"line", "column", "before",
"after"}]}], "undecided": [{"file", "line", "column", "code", "reason", "bare"}], "skipped": [{"file", "reason"}],
"counts": {"calls_changed", "places_undecided", "of_them_bare", "files_changed", "files_skipped", "other_files"}}``,
"files" counts the Python files, "other_files" the other texts that were looked through.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from conversion import failures
from conversion.patch.codemods import CODEMODS
from conversion.patch.write import patch, show


def main() -> int:
    """Patch below ``--root`` and write the report."""
    parser = argparse.ArgumentParser(prog="python -m conversion.patch", description=__doc__)
    parser.add_argument("--root", required=True, action="append")
    parser.add_argument("--codemod", required=True, action="append", choices=CODEMODS)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--report", required=True, type=Path)
    options = parser.parse_args()
    report = patch(options.root, options.out, options.codemod)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(report)
    return 0


if __name__ == "__main__":
    failures.run(main)
