"""Checks on a real card, each part in a process of its own.

A crash, or a kernel that leaves the card unusable, costs its own rows and no others; this process needs no torch.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator, List

from conversion.verify.rows import FAIL, INFO, Row

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
    command = [sys.executable, "-m", "conversion.gpu.part", "--spec", str(spec_file), "--part", part]
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
