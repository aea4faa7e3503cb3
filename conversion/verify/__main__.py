"""Proves an image: everything that the recipe promises, one row per fact.

    python -m conversion.verify --spec verify.json --base-inventory inventory.json --base DIR --extracted DIR
        --patch-report FILE --archs "9.0;12.0" --uv /tools/uv [--only run|read] [--join FILE] --out report.json

Runs inside the image, without network or GPU. ``--only run`` makes the checks that have to run programs of the image,
``--only read`` those that read files and run nothing; ``--join`` adds the rows of another report, such as the first
one's: the second can then be made where none of the image's code ran before (see ``conversion.verify.isolated``). The
exit status is 0 once the report is written, whatever the rows say: who reads the report decides. A check that fails by
itself is a failing row.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from conversion import failures
from conversion.verify.checks import verify
from conversion.verify.image import Image, read_spec
from conversion.verify.rows import guarded, read_rows, report


def main() -> int:
    """Write the report to ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.verify", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--archs", default="", help="in place of the specification's, as in TORCH_CUDA_ARCH_LIST")
    parser.add_argument("--base-inventory", required=True, type=Path)
    parser.add_argument("--base", type=Path, help="the base's root")
    parser.add_argument("--extracted", type=Path)
    parser.add_argument("--patch-report", type=Path)
    parser.add_argument("--uv")
    parser.add_argument("--only", choices=("run", "read"))
    parser.add_argument("--join", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    spec = read_spec(options.spec, options.archs)
    image = Image(
        spec["prefix"], options.uv, options.base_inventory, options.base, options.extracted, options.patch_report
    )
    rows = verify(image, spec, None if options.only is None else options.only == "run")
    if options.join:
        rows += guarded("report", "checks that run programs", partial(read_rows, options.join))
    document = report(str(spec.get("recipe", "")), rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    failures.run(main)
