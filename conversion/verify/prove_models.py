"""Prints a row per model file of a set: whether it is what the old environment's was.

    python -m conversion.verify.prove_models --spec models.json --set NAME --extracted DIR [--base DIR] \
        [--limit SECONDS]

Runs with the image's own code, each file in a process of its own. One JSON row per model goes to stdout as soon as it
is known. ``--base`` is where the old file system is mounted: a file is carried over once more from there, and must be
equal to the image's without any exception.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from conversion import failures
from conversion.failures import ConversionError
from conversion.models import forms, isolate, loading, model_record, model_spec, proof
from conversion.models.extract import files_of
from conversion.models.model_record import Record
from conversion.models.model_spec import ModelSet
from conversion.models.rebuild import explain
from conversion.verify.model_rows import EXPECTED
from conversion.verify.rows import INFO, Row, judged


def prove_file(
    model_set: ModelSet, place: proof.Place, taken: Record, original: str, migrated: str, *, probed: bool = True
) -> proof.Proof:
    """The proof of one file; see `conversion.models.proof.Proof`.

    Args:
        model_set: the file's, whose folders are importable. place: what changed since the extraction.
        taken: what the old environment recorded.
        original, migrated: paths of the old file, and of the one that is checked.
        probed: whether the probe runs.

    Raises:
        ConversionError: a file can't be loaded.
    """
    carried = proof.carried_over(model_set, forms.read(original), taken, place)
    if not probed:
        model_set, taken, carried = (
            replace(model_set, probe=None),
            replace(taken, probe=None),
            replace(carried, as_is={}),
        )
    return proof.prove(model_set, forms.read(migrated), taken, carried, place)


def check_set(model_set: ModelSet, extracted: Path, base: Optional[Path], limit: float) -> Iterator[Row]:
    """A row per model file of one set."""
    manifest = model_record.read_manifest(extracted)
    place = proof.Place.beside(manifest)
    isolate.preload(place.libraries)
    files = files_of(model_set)
    work = partial(_work, model_set, manifest, place, extracted, base)
    for outcome in isolate.each(work, files, limit):
        if outcome.error is not None:
            yield judged("model", outcome.file, EXPECTED, "can't be checked", False, outcome.error)
        elif outcome.result["problems"]:
            yield judged(
                "model", outcome.file, EXPECTED, "differs", False, explain(outcome.result["problems"], manifest)
            )
        else:
            yield from _good(outcome.file, outcome.result, model_set.unprobed)
    for file, name in sorted(manifest.sets.items()):
        if name == model_set.name and file not in files:
            yield judged("model", file, EXPECTED, "the file is gone", False)


def _work(
    model_set: ModelSet,
    manifest: model_record.Manifest,
    place: proof.Place,
    extracted: Path,
    base: Optional[Path],
    file: str,
) -> Dict[str, Any]:
    if file not in manifest.entries:
        raise ConversionError("is not among the extracted models")
    original = file if base is None else os.path.join(str(base), file.lstrip("/"))
    with loading.import_path(model_set.path):
        taken = model_record.read(extracted / manifest.entries[file])
        found = prove_file(model_set, place, taken, original, file)
        document: Dict[str, Any] = found.to_json()
        document["words"] = str(found)
        document["weights_only"] = proof.weights_only(forms.read(file))
        return document


def _good(file: str, result: Dict[str, Any], unprobed: str) -> Iterator[Row]:
    found = "the graph; no probe" if result["parity"] is None else "the graph, and the outputs in float64"
    reason = f"; no probe: {unprobed}" if unprobed else ""
    yield judged("model", file, EXPECTED, found, True, result["words"] + reason)
    restricted = result["weights_only"]
    loads: List[str] = ["True"] if restricted is True else ["False", str(restricted)]
    yield Row("weights-only", file, "", f"torch.load needs weights_only={loads[0]}", INFO, "".join(loads[1:]))


def main() -> int:
    """Print the rows of one set."""
    parser = argparse.ArgumentParser(prog="python -m conversion.verify.prove_models", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--set", required=True)
    parser.add_argument("--extracted", required=True, type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for one file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    for model_set in model_spec.load(options.spec).sets:
        if model_set.name == options.set:
            for row in check_set(model_set, options.extracted, options.base, options.limit):
                print(json.dumps(asdict(row)), flush=True)
    return 0


if __name__ == "__main__":
    failures.run(main)
