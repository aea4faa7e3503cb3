"""Checks on a real card: torch's own kernels, the compiled extensions, and every model on CPU and GPU.

    python -m conversion.gpu.checks --spec verify.json [--archs "9.0;12.0"] [--out report.json]

Reads the specification that ``conversion.verify.checks`` reads and needs no network. Each part runs in a process of its own:
a crash, or a kernel that leaves the card unusable, costs its own rows and no others. The report goes to ``--out`` or
stdout, progress to stderr. The exit status is 0 once the report is written, whatever the rows say: who reads it
decides. Without a card there is one failing row.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

from conversion import failures
from conversion.verify.rows import FAIL, INFO, Row, guarded, report

CHECK = "gpu"
CARD = "card"
OPERATIONS = ("torch", "torch-scatter", "torch-spline-conv", "torch-cluster", "pytorch3d")
TIMEOUT = 900  # seconds for one part; the first call of a card may have to load gigabytes of kernels


def parts(spec: Dict[str, Any]) -> List[str]:
    """What is checked once there is a card, in the report's order: operations, packages held back, sets of models."""
    sets = spec.get("models", {}).get("sets", [])
    held_back = [name for name, rule in spec.get("device", {}).items() if rule["action"] == "cpu"]
    return [*OPERATIONS, *(f"device:{name}" for name in held_back), *(f"models:{entry['name']}" for entry in sets)]


def check(spec: Dict[str, Any], spec_file: Path) -> Iterator[Row]:
    """All rows: the card first; the rest only where there is one."""
    card = run_part(CARD, spec, spec_file)
    yield from card
    note = next((row.detail for row in card if row.status == INFO), "")
    if any(row.status == FAIL for row in card):
        return
    for part in parts(spec):
        for row in run_part(part, spec, spec_file):
            yield noted(row, note)
    for name in spec.get("extensions", []):
        if name not in OPERATIONS:
            yield Row(CHECK, name, "", "no operation of it is known here", INFO, "only the models may use it")


def noted(row: Row, note: str) -> Row:
    """The row, with what must be known of the card at the end of its detail."""
    return replace(row, detail="; ".join(part for part in (row.detail, note) if part))


def run_part(part: str, spec: Dict[str, Any], spec_file: Path) -> List[Row]:
    """The rows of one part, from a process of its own; one failing row more where that process broke off."""
    command = [sys.executable, "-m", "conversion.gpu.checks", "--spec", str(spec_file), "--part", part]
    command += ["--archs", ";".join(spec.get("archs", []))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace", timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        rows = _rows_in(error.stdout)
        return [*rows, Row(CHECK, part, "the check ends", f"no answer in {TIMEOUT} s", FAIL, f"after {len(rows)} rows")]
    rows = _rows_in(done.stdout)
    if done.returncode:
        rows.append(Row(CHECK, part, "the check ends", "it broke off", FAIL, _why(done)))
    elif not rows:
        rows.append(Row(CHECK, part, "the check says something", "it said nothing", FAIL))
    return rows


def _rows_in(output: object) -> List[Row]:
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output or "")
    return [Row(**json.loads(line)) for line in text.splitlines() if line.endswith("}")]


def _why(done: subprocess.CompletedProcess[str]) -> str:
    how = f"exit status {done.returncode}"
    if done.returncode < 0:
        how = f"signal {signal.Signals(-done.returncode).name}"
    return f"{how}: {' / '.join([line for line in done.stderr.strip().splitlines() if line][-3:])}"


def print_part(part: str, spec: Dict[str, Any]) -> None:
    """Print the rows of one part, a JSON object a line, each as soon as it is known."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as rows:
        os.dup2(2, 1)  # whatever model code or libraries print must not get between the rows
        for row in guarded_each(part, spec):
            print(json.dumps(asdict(row)), file=rows, flush=True)


def guarded_each(part: str, spec: Dict[str, Any]) -> Iterator[Row]:
    """The rows of one part; torch, and what needs it, is imported only here."""
    if part.startswith("models:"):
        from conversion.gpu.model_rows import model_rows
        from conversion.models.model_spec import parse

        wanted = part.partition(":")[2]
        for entry in parse(spec["models"]).sets:
            if entry.name == wanted:
                yield from model_rows(entry)
        return

    def rows() -> List[Row]:
        if part.startswith("device:"):
            import torch

            from conversion.gpu.held_back import package_rows

            name = part.partition(":")[2]
            return list(package_rows(name, spec["device"][name], torch.cuda.get_device_capability(0)))
        from conversion.gpu import operations

        return list(operations.rows_of(part, spec))

    yield from guarded(CHECK, part, rows)


def read_spec(path: Path, archs: str) -> Dict[str, Any]:
    """The specification, with other archs in place of its own where some are given.

    Raises:
        SpecError: it can't be read or is no specification.
    """
    spec = failures.read_json(path)
    if not isinstance(spec, dict) or "prefix" not in spec:
        raise failures.SpecError(f"{path} is no specification of a verification: it has no prefix")
    listed = [arch.partition("+")[0] for arch in re.split(r"[;,\s]+", archs) if arch]
    return {**spec, "archs": listed} if listed else spec


def run_checks(spec: Dict[str, Any], spec_file: Path) -> Dict[str, Any]:
    """The report's document; each row is told on stderr when it is known."""
    rows: List[Row] = []
    for row in check(spec, spec_file):
        rows.append(row)
        print(f"{row.status} {row.check} {row.subject}: {row.found}", file=sys.stderr, flush=True)
    return report(str(spec.get("recipe", "")), rows)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Write the report, or print the rows of one part."""
    parser = argparse.ArgumentParser(prog="python -m conversion.gpu.checks", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--archs", default="", help="in place of the specification's, as in TORCH_CUDA_ARCH_LIST")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="a file in place of stdout")
    options = parser.parse_args(arguments)
    spec = read_spec(options.spec, options.archs)
    if options.part:
        print_part(options.part, spec)
        return 0
    document = run_checks(spec, options.spec)
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    else:
        print(json.dumps(document))
    return 0


if __name__ == "__main__":
    failures.run(main)
