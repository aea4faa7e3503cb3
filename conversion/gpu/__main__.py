"""Checks on a real card: torch's own kernels, the compiled extensions, and every model on CPU and GPU.

    python -m conversion.gpu --spec verify.json [--archs "9.0;12.0"] [--out report.json]

Reads the specification that ``conversion.verify`` reads and needs no network. The report goes to ``--out`` or
stdout, progress to stderr. The exit status is 0 once the report is written, whatever the rows say: who reads it
decides. Without a card there is one failing row.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, List

from conversion import failures
from conversion.gpu.checks import check
from conversion.verify.image import read_spec
from conversion.verify.rows import Row, report


def run_checks(spec: Dict[str, Any], spec_file: Path) -> Dict[str, Any]:
    """The report's document; each row is told on stderr when it is known."""
    rows: List[Row] = []
    for row in check(spec, spec_file):
        rows.append(row)
        print(f"{row.status} {row.check} {row.subject}: {row.found}", file=sys.stderr, flush=True)
    return report(str(spec.get("recipe", "")), rows)


def main() -> int:
    """Write the report."""
    parser = argparse.ArgumentParser(prog="python -m conversion.gpu", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--archs", default="", help="in place of the specification's, as in TORCH_CUDA_ARCH_LIST")
    parser.add_argument("--out", type=Path, help="a file in place of stdout")
    options = parser.parse_args()
    document = run_checks(read_spec(options.spec, options.archs), options.spec)
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    else:
        print(json.dumps(document))
    return 0


if __name__ == "__main__":
    failures.run(main)
