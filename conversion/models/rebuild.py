"""Carries the recorded models into the new environment, and proves each.

    python -m conversion.models.rebuild --spec models.json --extracted DIR --out DIR --report FILE [--limit SECONDS]

Runs without network and GPU. A file that has to be written anew is saved below OUT under its absolute path; one that
works in the new environment as it is, is proven and left. Packages that are not built yet are stand-ins for the model's
own code. Every file is tried, each in a process of its own; those that fail are named together at the end, with exit
status 1, and nothing of them is written.
"""

from __future__ import annotations

import argparse
import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import torch

from conversion import failures, files
from conversion.failures import ConversionError
from conversion.models import forms, isolate, loading, model_record, model_spec, proof, stubs
from conversion.models.extract import files_of


def rebuild_file(
    model_set: model_spec.ModelSet,
    manifest: model_record.Manifest,
    place: proof.Place,
    extracted: Path,
    out: Path,
    file: str,
) -> Dict[str, Any]:
    """Carry one file over and prove it; returns the report's entry.

    Raises:
        ConversionError: it can't be carried; the text says why.
    """
    if file not in manifest.entries:
        raise ConversionError("is not among the extracted models")
    stubs.install(manifest.absent, model_set.path)
    with loading.import_path(model_set.path):
        taken = model_record.read(extracted / manifest.entries[file])
        content = forms.read(file)
        carried = proof.carried_over(model_set, content, taken, place)
        written = None
        if carried.changed:
            written = loading.to_bytes(carried.checkpoint, content.form, carried.places)
            content = forms.of_bytes(written)
        proven = proof.prove(model_set, content, taken, carried, place)
    if written is not None and not proven.problems:
        files.place(out, file, written)
    outcome = "as it is" if written is None else "constructed" if carried.constructed else "carried"
    return {
        **proven.to_json(),
        "outcome": outcome,
        "made_anew": carried.anew,
        "as_is": carried.as_is,
        "filled": carried.filled,
        "weights_only": proof.weights_only(content),
        "words": str(proven),
    }


def rebuild(specification: model_spec.Specification, extracted: Path, out: Path, report: Path, limit: float) -> int:
    """Rebuild all sets into `out` and write the report; returns the exit status."""
    manifest = model_record.read_manifest(extracted)
    out.mkdir(parents=True, exist_ok=True)
    place = proof.Place.beside(manifest)
    isolate.preload(place.libraries)
    entries: List[Dict[str, Any]] = []
    failed: List[Tuple[str, str]] = []
    for model_set in specification.sets:
        try:
            files = files_of(model_set)
        except ConversionError as error:
            failed.append((f"model set {model_set.name}", str(error)))
            continue
        work = partial(rebuild_file, model_set, manifest, place, extracted, out)
        for outcome in isolate.each(work, files, limit):
            problems = [outcome.error] if outcome.error is not None else outcome.result["problems"]
            result = outcome.result or {"agrees": False, "problems": problems}
            words = result.pop("words", "")
            entries.append({"set": model_set.name, "file": outcome.file, **result, "unprobed": model_set.unprobed})
            if problems:
                failed.append((outcome.file, explain(problems, manifest)))
            else:
                print(f"{model_set.name}: {outcome.file}: {result['outcome']}; {words}", flush=True)
    _write_report(report, manifest, entries)
    if failed:
        failures.show_failures("models", failed, max(len(entries), len(failed)))
        return 1
    print(f"{len(entries)} models rebuilt with torch {torch.__version__}, all agree with torch {manifest.torch}")
    return 0


def explain(problems: Sequence[str], manifest: model_record.Manifest, most: int = 20) -> str:
    """The problems of a file; outputs recorded on another processor are pointed out."""
    lines = list(problems[:most])
    if len(problems) > most:
        lines.append(f"and {len(problems) - most} more")
    here = model_record.cpu_name()
    if manifest.cpu != here and any("float64" in line for line in lines):
        lines.append(f"the outputs were recorded on {manifest.cpu}, this is {here}: extract again here")
    return "\n".join(lines)


def _write_report(report: Path, manifest: model_record.Manifest, entries: List[Dict[str, Any]]) -> None:
    document = {
        "schema": 2,
        "old": {"torch": manifest.torch, "cpu": manifest.cpu},
        "new": {"torch": torch.__version__, "cpu": model_record.cpu_name()},
        "models": entries,
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Rebuild the models of ``--spec`` from ``--extracted`` into ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.models.rebuild", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--extracted", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--report", required=True, type=Path)
    parser.add_argument("--limit", type=float, default=isolate.LIMIT, help="seconds for one file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of the model's code and of torch, which the build's log is no place for
    specification = model_spec.load(options.spec)
    return rebuild(specification, options.extracted, options.out, options.report, options.limit)


if __name__ == "__main__":
    failures.run(main)
