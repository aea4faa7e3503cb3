"""Makes the extracted models again, in the new environment.

    python -m conversion.rebuild --spec models.json --extracted DIR --out DIR --report parity.json

Runs without network and GPU. Modules that the recipe stubs are stand-ins here, and CUDA default arguments are
CPU in memory. Each model is constructed with the old one's arguments, filled with its state, given back what
the constructor doesn't make (rules: `conversion.differences`), and saved below OUT under its absolute path.
The saved bytes are then read again and compared with the record: state, modes, attributes, other keys, and
the probe's outputs. No stand-in may be named in the saved pickle. Every model is tried; those that fail are
named together at the end, with exit status 1.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import torch

from conversion import attributes, cpu_defaults, differences, failures, models, placing, record
from conversion.agreement import Agreement, examine
from conversion.extract import files_of
from conversion.failures import ConversionError, describe
from conversion.loading import find_class, load_checkpoint, pickled_globals, surroundings, to_bytes
from conversion.stubs import is_below


def construct(taken: record.Record) -> Any:
    """A new module of the record's class, constructed with the record's arguments.

    Raises:
        ConversionError: the class can't be imported or constructed; the text says why.
    """
    cls = find_class(taken.class_name)
    try:
        return cls(*taken.positional, **taken.keyword)
    except Exception as error:  # model code may raise anything
        shown = ", ".join(f"{name}={str(value)[:40]}" for name, value in taken.keyword.items())
        hint = ""
        if "cuda" in str(error).lower() or "nvidia" in str(error).lower():
            hint = "\nname the module whose default arguments ask for CUDA in the recipe's cpu_defaults"
        raise ConversionError(f"can't construct {taken.class_name}({shown}): {describe(error)}{hint}") from error


def fill(module: Any, taken: record.Record) -> None:
    """Load the state into the module, with each tensor's own type, and set the gradient flags and modes.

    Raises:
        ConversionError: keys are missing or unexpected, or shapes differ; the text has all of them.
    """
    current = module.state_dict(keep_vars=True)
    for name, old in taken.state.items():
        new = current.get(name)
        if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor) and new.dtype != old.dtype:
            new.data = new.data.to(old.dtype)  # a module that was converted (.half()) after its construction
    state = collections.OrderedDict(taken.state)
    state._metadata = collections.OrderedDict(taken.metadata)  # type: ignore[attr-defined]  # noqa: SLF001
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ConversionError(f"the state does not fit: {error}") from error
    for name, value in module.named_parameters():
        value.requires_grad_(taken.requires_grad.get(name, value.requires_grad))
    for name, part in module.named_modules():
        if name in taken.modules:
            part.training = taken.modules[name]["training"]


def assemble(module: Any, taken: record.Record, spec: models.ModelSet) -> Any:
    """The checkpoint around the rebuilt module, its keys in their old order.

    Raises:
        ConversionError: another key holds something that this environment can't load; the text names the key.
    """
    if spec.key is None:
        return module
    rest: Dict[Any, Any] = {}
    for key, blob in taken.checkpoint.rest:
        try:
            rest[key] = load_checkpoint(io.BytesIO(blob))
        except ConversionError as error:
            raise ConversionError(f"the checkpoint's key {key!r} {error}") from error
    ordered = [(key, module if key == spec.key else rest[key]) for key in taken.checkpoint.keys]
    return collections.OrderedDict(ordered) if taken.checkpoint.kind == "OrderedDict" else dict(ordered)


def rebuild_file(spec: models.ModelSet, taken: record.Record) -> Tuple[bytes, List[str], Agreement]:
    """The new file's bytes, the names of the attributes that were restored, and how the file agrees.

    Raises:
        ConversionError: the model can't be made again, or its pickle names a stand-in.
    """
    module = construct(taken)
    fill(module, taken)
    ownership = attributes.Ownership(spec.path, spec.class_name)
    made = attributes.read_modules(module, ownership)
    restored = differences.restore(module, taken.modules, made, spec.restore)
    try:
        content = to_bytes(assemble(module, taken, spec))
    except ConversionError:
        raise
    except Exception as error:  # a stand-in refuses to be pickled; model code may raise anything
        raise ConversionError(f"can't be saved: {describe(error)}") from error
    leaked = sorted(name for name in pickled_globals(content) if is_below(name, spec.stubs))
    if leaked:
        raise ConversionError(f"the saved file names what is stubbed here: {', '.join(leaked)}")
    return content, restored, examine(load_checkpoint(io.BytesIO(content)), taken, spec)


def rebuild_set(
    spec: models.ModelSet, extracted: Path, manifest: record.Manifest, out: Path
) -> Tuple[List[Dict[str, Any]], List[Tuple[str, str]]]:
    """Rebuild every file of a set; returns the report's entries and the failures."""
    entries: List[Dict[str, Any]] = []
    failed: List[Tuple[str, str]] = []
    with surroundings(spec, spec.stubs):
        for changed in cpu_defaults.neutralise(spec.cpu_defaults):
            print(f"{spec.name}: default made cpu: {changed}")
        for file in files_of(spec):
            entry: Dict[str, Any] = {"set": spec.name, "file": file, "restored": [], "agrees": False}
            entries.append(entry)
            try:
                if file not in manifest.entries:
                    raise ConversionError("is not among the extracted models")
                taken = record.read(extracted / manifest.entries[file])
                content, entry["restored"], agreement = rebuild_file(spec, taken)
            except Exception as error:  # noqa: BLE001 - model code may raise anything
                entry["problems"] = [describe(error)]
                failed.append((file, describe(error)))
                continue
            entry.update(agreement.to_json())
            if agreement.problems:
                failed.append((file, explain(agreement, manifest)))
                continue
            placing.place(out, file, content)
            print(f"{spec.name}: {file}: {agreement}", flush=True)
    return entries, failed


def explain(agreement: Agreement, manifest: record.Manifest) -> str:
    """The problems of a file; outputs recorded on another processor are pointed out."""
    lines = [*agreement.problems[:20]]
    if len(agreement.problems) > len(lines):
        lines.append(f"and {len(agreement.problems) - len(lines)} more")
    here = record.cpu_name()
    if agreement.verdict is not None and not agreement.verdict.agrees and manifest.cpu != here:
        lines.append(f"the outputs were recorded on {manifest.cpu}, this is {here}: extract again here")
    return "\n".join(lines)


def rebuild(specs: Sequence[models.ModelSet], extracted: Path, out: Path, report: Path) -> int:
    """Rebuild all sets into `out` and write the parity report; returns the exit status."""
    manifest = record.read_manifest(extracted)
    out.mkdir(parents=True, exist_ok=True)
    entries: List[Dict[str, Any]] = []
    failed: List[Tuple[str, str]] = []
    for spec in specs:
        try:
            done, failed_here = rebuild_set(spec, extracted, manifest, out)
        except Exception as error:  # noqa: BLE001 - model code may raise anything, also from its import
            done, failed_here = [], [(f"model set {spec.name}", describe(error))]
        entries.extend(done)
        failed.extend(failed_here)
    document = {
        "schema": 1,
        "old": {"torch": manifest.torch, "cpu": manifest.cpu},
        "new": {"torch": torch.__version__, "cpu": record.cpu_name()},
        "models": entries,
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if failed:
        failures.show_failures("models", failed, max(len(entries), len(failed)))
        return 1
    print(f"{len(entries)} models rebuilt with torch {torch.__version__}, all agree with torch {manifest.torch}")
    return 0


def main() -> int:
    """Rebuild the models of ``--spec`` from ``--extracted`` into ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.rebuild", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--extracted", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--report", required=True, type=Path)
    options = parser.parse_args()
    return rebuild(models.load(options.spec), options.extracted, options.out, options.report)


if __name__ == "__main__":
    failures.run(main)
