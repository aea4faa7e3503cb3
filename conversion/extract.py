"""Takes pickled models apart in the environment that made them.

    python -m conversion.extract --spec models.json --out DIR

Runs in the old environment, without network and GPU. Writes DIR/manifest.json and one record per model file:
the constructor's arguments, the state dict, every plain attribute, modes, the other keys of the checkpoint,
and the probe with its outputs. Every model is tried; those that fail are named together at the end, with exit
status 1.
"""

from __future__ import annotations

import argparse
import copy
import glob
import inspect
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import torch

from conversion import attributes, cpu_defaults, failures, models, parity, record
from conversion.failures import ConversionError, describe
from conversion.loading import load_checkpoint, surroundings, to_bytes
from conversion.probe import make_inputs

_CONTAINERS = {"dict": dict, "OrderedDict": None}


def files_of(spec: models.ModelSet) -> List[str]:
    """The set's model files as absolute real paths, sorted; a link and its target count once.

    Raises:
        ConversionError: a glob matches no file.
    """
    found: Set[str] = set()
    for pattern in spec.files:
        matches = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
        if not matches:
            raise ConversionError(f"no file matches {pattern}")
        found.update(os.path.realpath(path) for path in matches)
    return sorted(found)


def extract_set(spec: models.ModelSet, out: Path, done: Dict[str, Tuple[str, str]]) -> List[Tuple[str, str]]:
    """Extract every file of a set; adds to `done` (file → set, record) and returns the failures."""
    failed: List[Tuple[str, str]] = []
    with surroundings(spec, ()):
        try:
            files = files_of(spec)
            for changed in cpu_defaults.neutralise(spec.cpu_defaults):
                print(f"{spec.name}: default made cpu: {changed}")
        except ConversionError as error:
            return [(f"model set {spec.name}", str(error))]
        for file in files:
            if file in done:
                failed.append((file, f"belongs to two model sets, {spec.name} is the second"))
                continue
            name = f"{len(done):04d}-{re.sub(r'[^A-Za-z0-9._-]', '_', os.path.basename(file))}.pt"
            try:
                taken = extract_file(spec, file)
            except Exception as error:  # noqa: BLE001 - model code may raise anything
                failed.append((file, describe(error)))
                continue
            record.write(taken, out / name)
            done[file] = (spec.name, name)
            print(f"{spec.name}: {file}: {len(taken.state)} tensors of state, {_counted(taken)}", flush=True)
    return failed


def _counted(taken: record.Record) -> str:
    count = sum(1 for _ in attributes.own_attributes(taken.modules))
    outputs = "no probe" if taken.probe is None else f"{len(taken.probe.outputs)} probe outputs"
    return f"{count} attributes, {outputs}, {len(taken.checkpoint.rest)} other keys"


def extract_file(spec: models.ModelSet, file: str) -> record.Record:
    """Everything about one model file.

    Raises:
        ConversionError: the file can't be taken apart; the text says why.
    """
    loaded = load_checkpoint(file)
    module, checkpoint = split(loaded, spec.key)
    found = attributes.full_name(type(module))
    if found != spec.class_name:
        raise ConversionError(f"holds a {found}, but the recipe's class is {spec.class_name}")
    positional, keyword = constructor_arguments(module, spec.constructor)
    state = module.state_dict()
    return record.Record(
        file=file,
        model_set=spec.name,
        class_name=found,
        positional=positional,
        keyword=keyword,
        state={name: _detached(value) for name, value in state.items()},
        metadata={name: dict(value) for name, value in getattr(state, "_metadata", {}).items()},
        requires_grad={name: bool(value.requires_grad) for name, value in module.named_parameters()},
        modules=attributes.read_modules(module, attributes.Ownership(spec.path, spec.class_name)),
        checkpoint=checkpoint,
        probe=_probe(spec, module),
    )


def _detached(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def split(loaded: Any, key: Optional[str]) -> Tuple[Any, record.Checkpoint]:
    """The module in a checkpoint, and the rest of it.

    Raises:
        ConversionError: the checkpoint doesn't have the shape that the recipe says.
    """
    if key is None:
        return _as_module(loaded, "the file"), record.Checkpoint(kind=None)
    kind = type(loaded).__name__
    if not isinstance(loaded, dict) or kind not in _CONTAINERS:
        raise ConversionError(f"holds a {kind}, but the recipe says that it is a dict with the key {key!r}")
    if key not in loaded:
        raise ConversionError(f"has no key {key!r}; it has {', '.join(map(repr, loaded))}")
    rest = tuple((name, to_bytes(value)) for name, value in loaded.items() if name != key)
    return _as_module(loaded[key], f"the key {key!r}"), record.Checkpoint(kind, tuple(loaded), rest)


def _as_module(value: Any, place: str) -> Any:
    if isinstance(value, torch.nn.Module):
        return value
    if isinstance(value, dict) and all(isinstance(item, torch.Tensor) for item in value.values()):
        raise ConversionError(f"{place} is a plain state dict, which needs no migration: take it off the recipe")
    hint = f"; its keys are {', '.join(map(repr, value))}" if isinstance(value, dict) else ""
    raise ConversionError(f"{place} is a {type(value).__name__}, not a module{hint}")


def constructor_arguments(module: Any, given: Mapping[str, models.Argument]) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """The arguments that make such a module again: the recipe's, else the attributes of the same names.

    Raises:
        ConversionError: arguments without a source, all of them named, or given ones that don't exist.
    """
    parameters = list(inspect.signature(type(module)).parameters.values())
    takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters)
    named = [item for item in parameters if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
    problems: List[str] = []
    positional: List[Any] = []
    keyword: Dict[str, Any] = {}
    known = {item.name for item in named}
    if not takes_any:
        has = f"no argument of {type(module).__name__}; it has {', '.join(sorted(known))}"
        problems.extend(f"{name} is {has}" for name in given if name not in known)
    for name in [*(item.name for item in named), *(n for n in given if n not in known)]:
        try:
            value = _argument(module, name, given.get(name))
        except ConversionError as error:
            problems.append(str(error))
            continue
        if any(item.name == name and item.kind is item.POSITIONAL_ONLY for item in named):
            positional.append(value)
        else:
            keyword[name] = value
    if problems:
        raise ConversionError("constructor arguments: " + "\n".join(problems))
    return tuple(positional), keyword


def _argument(module: Any, name: str, source: Optional[models.Argument]) -> Any:
    if source is not None and source.attribute is None:
        return source.value
    path = source.attribute if source is not None and source.attribute else name
    try:
        value = attributes.lookup(module, path)
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}; name its value or attribute in the recipe's constructor") from None
    tree = attributes.encode(value, attributes.Ownership((), ""))
    if not attributes.restorable(tree):
        raise ConversionError(
            f"{name}: the attribute {path} is a {attributes.full_name(type(value))}, no plain value; "
            "name the argument's value or another attribute in the recipe's constructor"
        )
    return attributes.decode(tree)


def _probe(spec: models.ModelSet, module: Any) -> Optional[record.ProbeRun]:
    if spec.probe is None:
        return None
    inputs = make_inputs(spec.probe, module)
    outputs = parity.run_probe(module, inputs, spec.probe.seed)
    again = parity.run_probe(module, inputs, spec.probe.seed)
    if spec.tolerance is None and not parity.bitwise_equal(outputs, again):
        raise ConversionError(
            "the probe's outputs differ between two runs in the old environment, "
            "so no bitwise equality can be asked: give the recipe a tolerance and its reason"
        )
    return record.ProbeRun(spec.probe.seed, inputs, outputs)


def extract(specs: Sequence[models.ModelSet], out: Path) -> int:
    """Extract all sets into `out`; returns the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    done: Dict[str, Tuple[str, str]] = {}
    failed: List[Tuple[str, str]] = []
    for spec in specs:
        try:
            failed.extend(extract_set(spec, out, done))
        except Exception as error:  # noqa: BLE001 - model code may raise anything, also from its import
            failed.append((f"model set {spec.name}", describe(error)))
    record.write_manifest(out, done)
    if failed:
        failures.show_failures("models", failed, len(done) + len(failed))
        return 1
    print(f"{len(done)} models extracted with torch {torch.__version__} on {record.cpu_name()}")
    return 0


def main() -> int:
    """Extract the models of ``--spec`` into ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.extract", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    return extract(models.load(options.spec), options.out)


if __name__ == "__main__":
    failures.run(main)
