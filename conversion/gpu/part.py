"""Prints the rows of one part of the checks on a card, in the process that `checks` starts for it.

python -m conversion.gpu.part --spec verify.json --archs "9.0;12.0" --part NAME
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Iterator

import torch

from conversion import failures
from conversion.gpu import held_back, model_rows, operations
from conversion.gpu.checks import CHECK
from conversion.models import model_spec
from conversion.verify.image import read_spec
from conversion.verify.rows import Row, guarded


def print_part(part: str, spec: Dict[str, Any]) -> None:
    """Print the rows of one part, a JSON object a line, each as soon as it is known."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as rows:
        os.dup2(2, 1)  # whatever model code or libraries print must not get between the rows
        for row in rows_of(part, spec):
            print(json.dumps(asdict(row)), file=rows, flush=True)


def rows_of(part: str, spec: Dict[str, Any]) -> Iterator[Row]:
    """The rows of one part."""
    kind, _, name = part.partition(":")
    if kind == "models":
        for entry in model_spec.parse(spec["models"]).sets:
            if entry.name == name:
                yield from model_rows.model_rows(entry)
    elif kind == "device":
        card = torch.cuda.get_device_capability(0)
        yield from guarded(CHECK, part, lambda: held_back.package_rows(name, spec["device"][name], card))
    else:
        yield from guarded(CHECK, part, lambda: operations.rows_of(part, spec))


def main() -> int:
    """Print the rows."""
    parser = argparse.ArgumentParser(prog="python -m conversion.gpu.part", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--archs", default="")
    parser.add_argument("--part", required=True)
    options = parser.parse_args()
    print_part(options.part, read_spec(options.spec, options.archs))
    return 0


if __name__ == "__main__":
    failures.run(main)
