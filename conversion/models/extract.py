"""Records pickled models in the environment that made them.

    python -m conversion.models.extract --spec models.json --out DIR [--limit SECONDS]

Runs in the old environment, without network and GPU. Writes DIR/manifest.json and a record for each model file: its
object graph, how the modules of libraries that may change are made, and the probe's outputs in float32 and float64.
Every file is tried, each in a process of its own; those that fail are named together at the end, with exit status 1.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Set, Tuple

import torch

from conversion import failures
from conversion.failures import ConversionError
from conversion.models import distributions, forms, fresh, isolate, loading, model_record, model_spec, parity, probe
from conversion.models.graph import Graph, Places, record
from conversion.models.held import references
from conversion.models.objects import type_name
from conversion.models.outputs import Outputs

Owners = Mapping[str, Tuple[str, str]]


def files_of(model_set: model_spec.ModelSet) -> List[str]:
    """The set's model files as absolute real paths, sorted; a link and its target count once.

    Raises:
        ConversionError: a glob matches nothing.
    """
    found: Set[str] = set()
    for pattern in model_set.files:
        matches = [path for path in glob.glob(pattern, recursive=True) if path == pattern or not os.path.isdir(path)]
        if not matches:
            raise ConversionError(f"no file matches {pattern}")
        found.update(os.path.realpath(path) for path in matches)
    return sorted(found)


def libraries(owners: Owners, released: Sequence[str]) -> Set[str]:
    """The top-level modules of the distributions that the uplift may change; torch's are not among them."""
    return {module for module, owner in distributions.named(owners, released).items() if owner[0] != "torch"}


def extract_file(model_set: model_spec.ModelSet, known: Set[str], out: str, file: str) -> Dict[str, Any]:
    """Record one file to ``out``; returns what is told of it.

    Raises:
        ConversionError: it can't be loaded, or not be proven; the text says why.
    """
    with loading.import_path(model_set.path):
        content = forms.read(file)
        places = Places()
        graph = record(loading.open_file(content, places=places), places=places)
        made, unmade = _makings(graph, known, model_set)
        outputs = None if model_set.probe is None else _outputs(model_set, content, file)
        model_record.write(model_record.Record(file, graph, made, unmade, outputs), Path(out))
    return {
        "nodes": graph.count(),
        "tensors": graph.count("tensor"),
        "bytes": sum(node.value[0] for node in graph.nodes if node.kind == "storage"),
        "outputs": 0 if outputs is None else len(outputs.float64),
        "modules": sorted(_modules_named(graph)),
    }


def _makings(
    graph: Graph, known: Set[str], model_set: model_spec.ModelSet
) -> Tuple[Dict[int, fresh.Made], Dict[int, str]]:
    """By node how the libraries' modules, and those that the recipe constructs, are made; and why some can't be."""
    made: Dict[int, fresh.Made] = {}
    unmade: Dict[int, str] = {}
    for number, item in enumerate(graph.objects):
        if number in made or not isinstance(item, torch.nn.Module):
            continue
        given = model_set.construct.get(type_name(type(item)))
        base = type(item) if given is not None else fresh.library_base(type(item), known)
        if base is None:
            continue
        try:
            for key, making in fresh.take(item, base, known, given or {}).items():
                made.setdefault(graph.numbers[key], making)
        except ConversionError as error:
            if given is not None:
                raise ConversionError(f"{graph.path(number)}, a {type_name(type(item))}: {error}") from error
            unmade[number] = str(error)
    _claim_shared(graph, made)
    return made, unmade


def _claim_shared(graph: Graph, made: Mapping[int, fresh.Made]) -> None:
    """Count plain lists, dicts and sets that something else than a library's module holds too as the user's own."""
    holders: Dict[int, Set[int]] = {}
    for number, node in enumerate(graph.nodes):
        for reference in node.references:
            if isinstance(reference, int):
                holders.setdefault(reference, set()).add(number)
    for number, making in made.items():
        for name, (kind, value) in references(graph, number).items():
            if kind != "attribute" or not isinstance(value, int) or name in making.own or len(holders[value]) == 1:
                continue
            node = graph.nodes[value]
            if node.kind in ("list", "dict", "set") and all(isinstance(part, list) for part in node.references):
                making.own.append(name)


def _outputs(model_set: model_spec.ModelSet, content: forms.File, file: str) -> parity.Recorded:
    """The probe's outputs in both precisions, each run on a checkpoint of its own; single precision runs twice."""

    def run(precision: str) -> Outputs:
        assert model_set.probe is not None  # noqa: S101 - narrows the type
        return probe.outputs(model_set.probe, loading.open_file(content), file, precision)

    first, again, double = run("float32"), run("float32"), run("float64")
    same = len(first) == len(again) and all(
        one[0] == other[0] and parity.same_bits(one[1], other[1]) for one, other in zip(first, again)
    )
    if not same and model_set.tolerance is None:
        raise ConversionError(
            "the probe's outputs differ between two runs in the old environment, so they prove nothing: the model "
            "draws random numbers that no seed fixes; give another probe, a tolerance with its reason, or none and "
            "say why"
        )
    return parity.Recorded(float32=first, float64=double)


def _modules_named(graph: Graph) -> Set[str]:
    """The top-level modules of all classes and functions that a graph names."""
    names = {node.type.partition(".")[0] for node in graph.nodes}
    for node in graph.nodes:
        for reference in node.references:
            if isinstance(reference, list) and reference[0] in ("class", "function", "module"):
                names.add(str(reference[1]).partition(".")[0])
    return names


def extract(specification: model_spec.Specification, out: Path, limit: float) -> int:
    """Extract all sets into `out`; returns the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    owners = distributions.owners()
    known = libraries(owners, specification.released)
    guessed = {name.replace("-", "_") for name in specification.absent}  # of what is not installed here either
    absent = sorted(guessed | set(distributions.named(owners, specification.absent)))
    done: Dict[str, Tuple[str, str]] = {}
    failed: List[Tuple[str, str]] = []
    named: Set[str] = set(known)
    for model_set in specification.sets:
        try:
            files = files_of(model_set)
        except ConversionError as error:
            failed.append((f"model set {model_set.name}", str(error)))
            continue
        failed += [
            (file, f"belongs to two model sets, {model_set.name} is the second") for file in files if file in done
        ]
        entries = {
            file: f"{len(done) + place:04d}-{re.sub(r'[^A-Za-z0-9._-]', '_', os.path.basename(file))}.json"
            for place, file in enumerate(file for file in files if file not in done)
        }
        work = partial(_work, model_set, known, out, entries)
        for outcome in isolate.each(work, list(entries), limit):
            if outcome.error is not None:
                failed.append((outcome.file, outcome.error))
                continue
            told = outcome.result
            named.update(told["modules"])
            isolate.preload(known & set(told["modules"]))
            done[outcome.file] = (model_set.name, entries[outcome.file])
            print(
                f"{model_set.name}: {outcome.file}: {told['nodes']} objects, {told['tensors']} tensors, "
                f"{told['bytes']} bytes; {_probe_words(model_set, told['outputs'])}",
                flush=True,
            )
    model_record.write_manifest(out, _of(owners, named), absent, done)
    if failed:
        failures.show_failures("models", failed, len(done) + len(failed))
        return 1
    print(f"{len(done)} models extracted with torch {torch.__version__} on {model_record.cpu_name()}")
    return 0


def _work(model_set: model_spec.ModelSet, known: Set[str], out: Path, entries: Mapping[str, str], file: str) -> Any:
    return extract_file(model_set, known, str(out / entries[file]), file)


def _of(owners: Owners, modules: Iterable[str]) -> Dict[str, Tuple[str, str]]:
    return {module: owners[module] for module in modules if module in owners}


def _probe_words(model_set: model_spec.ModelSet, outputs: int) -> str:
    return f"{outputs} outputs" if model_set.probe is not None else f"no probe: {model_set.unprobed}"


def main() -> int:
    """Extract the models of ``--spec`` into ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m conversion.models.extract", description=__doc__)
    parser.add_argument("--spec", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--limit", type=float, default=isolate.LIMIT, help="seconds for one file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of the model's code and of torch, which the build's log is no place for
    return extract(model_spec.load(options.spec), options.out, options.limit)


if __name__ == "__main__":
    failures.run(main)
