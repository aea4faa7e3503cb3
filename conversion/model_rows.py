"""Whether the image's models load and agree with the records of the old ones.

    python -m conversion.model_rows --spec models.json --set NAME --extracted DIR

Runs with the image's own code. A module that the recipe stubs is a stand-in only where the image really lacks
it, and the row says so. One JSON row per model goes to stdout as soon as it is known, so that what a crash of
the process (a library compiled for another torch) leaves behind still tells which models were reached.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Iterator, Sequence

from conversion import failures, models, stubs
from conversion.failures import ConversionError, describe
from conversion.rows import FAIL, Row, judged

EXPECTED = "loads; state, attributes and outputs as in the old environment"


def model_rows(raw_spec: object, extracted: str) -> Iterator[Row]:
    """The rows of all sets, each set checked in a process of its own.

    Args:
        raw_spec: the JSON document of the model sets.
        extracted: the folder that extract wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        spec_file = Path(folder) / "models.json"
        spec_file.write_text(json.dumps(raw_spec), encoding="utf-8")
        for spec in models.parse(raw_spec):
            command = [sys.executable, "-m", "conversion.model_rows", "--spec", str(spec_file)]
            command += ["--set", spec.name, "--extracted", extracted]
            done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
            rows = [Row(**json.loads(line)) for line in done.stdout.splitlines()]
            yield from rows
            if done.returncode:
                yield Row("model", f"set {spec.name}", EXPECTED, "the check broke off", FAIL, _why(done, rows))
            elif not rows:
                yield Row("model", f"set {spec.name}", EXPECTED, "no model was checked", FAIL)


def _why(done: subprocess.CompletedProcess[str], rows: Sequence[Row]) -> str:
    last = [line for line in done.stderr.strip().splitlines() if line][-3:]
    how = f"exit status {done.returncode}"
    if done.returncode < 0:
        how = f"signal {signal.Signals(-done.returncode).name}"
    return f"{how} after {len(rows)} models: {' / '.join(last)}"


def check_set(spec: models.ModelSet, extracted: Path) -> Iterator[Row]:
    """A row per model file of one set."""
    from conversion import cpu_defaults, record
    from conversion.extract import files_of
    from conversion.loading import surroundings

    manifest = record.read_manifest(extracted)
    sys.path[:0] = list(spec.path)
    missing = stubs.lacking(spec.stubs)
    del sys.path[: len(spec.path)]
    with surroundings(spec, missing):
        note = f"; stand-ins for what the image lacks: {', '.join(missing)}" if missing else ""
        cpu_defaults.neutralise(spec.cpu_defaults)
        files = files_of(spec)
        for file in files:
            yield _check_file(spec, file, extracted, manifest, note)
        for file, name in sorted(manifest.sets.items()):
            if name == spec.name and file not in files:
                yield judged("model", file, EXPECTED, "the file is gone", False)


def _check_file(spec: models.ModelSet, file: str, extracted: Path, manifest: object, note: str) -> Row:
    from conversion import agreement, record
    from conversion.loading import load_checkpoint
    from conversion.rebuild import explain

    assert isinstance(manifest, record.Manifest)  # noqa: S101 - narrows the type
    try:
        if file not in manifest.entries:
            raise ConversionError("is not among the extracted models")
        taken = record.read(extracted / manifest.entries[file])
        found = agreement.examine(load_checkpoint(file), taken, spec)
    except Exception as error:  # noqa: BLE001 - model code may raise anything
        return judged("model", file, EXPECTED, "can't be checked", False, describe(error) + note)
    if found.problems:
        return judged("model", file, EXPECTED, "differs", False, explain(found, manifest) + note)
    outputs = (
        "no probe" if found.verdict is None else ("bitwise equal" if found.verdict.bitwise else "within tolerance")
    )
    return judged("model", file, EXPECTED, outputs, True, str(found) + note)


def main() -> int:
    """Print the rows of one set."""
    parser = argparse.ArgumentParser(prog="python -m conversion.model_rows", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--set", required=True)
    parser.add_argument("--extracted", required=True, type=Path)
    options = parser.parse_args()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as rows:
        os.dup2(2, 1)  # whatever model code or libraries print must not get between the rows
        for spec in models.load(options.spec):
            if spec.name == options.set:
                for row in check_set(spec, options.extracted):
                    print(json.dumps(asdict(row)), file=rows, flush=True)
    return 0


if __name__ == "__main__":
    failures.run(main)
