"""Whether a model file of this environment is what the old environment's was: the object graph, and the probe.

The file is read again by stock torch. Its graph must be equal to that of the carried checkpoint without any exception,
and to that of the old environment but for what the rules call a library's own business, which is listed.
"""

from __future__ import annotations

import collections
import io
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Set

import torch

from conversion.failures import ConversionError, describe
from conversion.models import distributions, forms, loading, model_record, model_spec, parity, probe
from conversion.models.carry import Carried, called_modules, carry
from conversion.models.compare import Comparison
from conversion.models.graph import Graph, Places, record
from conversion.models.objects import type_name
from conversion.models.rules import LibraryRules


@dataclass(frozen=True)
class Place:
    """The new environment beside the old one.

    Attributes:
        changed: top-level modules of libraries that changed, each with the versions in words; torch is not among them.
        torch_changed: whether torch did.
    """

    changed: Mapping[str, str]
    torch_changed: bool

    @property
    def libraries(self) -> List[str]:
        """Libraries that changed and are here."""
        return [module for module, versions in self.changed.items() if not versions.endswith(distributions.ABSENT)]

    @staticmethod
    def beside(manifest: model_record.Manifest) -> Place:
        """What changed since an extraction."""
        now = distributions.owners()
        torchs = {module for module, owner in manifest.owners.items() if owner[0] == "torch"}
        others = set(manifest.owners) - torchs
        return Place(distributions.changed(manifest.owners, now, others), manifest.torch != torch.__version__)


@dataclass
class Proof:
    """What was compared and what came out; `problems` is empty where the file is proven.

    Attributes:
        problems: one line per difference that nothing explains.
        notes: what is a library's own business → how often.
        nodes, tensors, bytes: objects that were compared, tensors among them, and bytes of storages.
        verdict: the probe's outcome; None where there is no probe, or it couldn't run.
    """

    problems: List[str] = field(default_factory=list)
    notes: Dict[str, int] = field(default_factory=dict)
    nodes: int = 0
    tensors: int = 0
    bytes: int = 0
    verdict: Optional[parity.Verdict] = None

    def __str__(self) -> str:
        outputs = "no probe" if self.verdict is None else self.verdict.text
        own = f", {sum(self.notes.values())} attributes are their libraries' own business" if self.notes else ""
        return f"{self.nodes} objects equal, {self.tensors} tensors of {self.bytes} bytes among them{own}; {outputs}"

    def to_json(self) -> Dict[str, Any]:
        """The figures as they stand in the report."""
        return {
            "agrees": not self.problems,
            "problems": self.problems,
            "notes": [f"{text} ({count} times)" if count > 1 else text for text, count in self.notes.items()],
            "nodes": self.nodes,
            "tensors": self.tensors,
            "bytes": self.bytes,
            "parity": None if self.verdict is None else vars(self.verdict),
        }


def carried_over(
    model_set: model_spec.ModelSet, content: forms.File, taken: model_record.Record, place: Place
) -> Carried:
    """An old file carried into this environment; see `conversion.models.carry.carry`."""
    return carry(content, taken, place.changed, set(model_set.construct), torch_changed=place.torch_changed)


def prove(
    model_set: model_spec.ModelSet, content: forms.File, taken: model_record.Record, carried: Carried, place: Place
) -> Proof:
    """Compare a file with the carried checkpoint, with the old environment's record, and run the probe.

    Raises:
        ConversionError: the file can't be loaded by stock torch.
    """
    proof = Proof()
    places = Places()
    graph = record(loading.open_file(content, places=places), places=places)
    exact = Comparison(record(carried.checkpoint, places=carried.places), graph).run()
    proof.problems += [f"is not what was carried over: {text}" for text in exact.differences]
    if carried.whole is not None and carried.whole != content.content:
        proof.problems.append("is a scripted module, and not the old file: its code can't be compared otherwise")
    rules = LibraryRules(taken.made, place.changed, model_set.construct)
    ruled = Comparison(taken.graph, graph, rules).run()
    proof.problems += ruled.differences
    proof.notes = dict(collections.Counter(ruled.notes))
    proof.nodes, proof.tensors = ruled.compared, graph.count("tensor")
    proof.bytes = sum(node.value[0] for node in graph.nodes if node.kind == "storage")
    if not proof.problems:
        _probe(proof, model_set, content, taken, carried)
    return proof


def _probe(
    proof: Proof, model_set: model_spec.ModelSet, content: forms.File, taken: model_record.Record, carried: Carried
) -> None:
    if model_set.probe is None or taken.probe is None:
        for name, reason in carried.as_is.items():
            proof.problems.append(
                f"a {name} of a changed library came as it is ({reason}), and no probe shows that it works"
            )
        return
    runs: Dict[str, Any] = {}
    try:
        for precision in ("float32", "float64"):
            loaded = loading.open_file(content)
            runs[precision], called = _watched(model_set.probe, loaded, taken.file, precision)
            if precision == "float64":
                proof.problems += _not_called(record(loaded, hashed=False), called, carried.as_is)
    except ConversionError as error:
        proof.problems.append(str(error))
        return
    proof.verdict = parity.compare(taken.probe, parity.Recorded(**runs), model_set.tolerance)
    if not proof.verdict.agrees:
        proof.problems.append(proof.verdict.text)


def _watched(wanted: Any, loaded: Any, file: str, precision: str) -> Any:
    return called_modules(lambda: probe.outputs(wanted, loaded, file, precision))


def _not_called(graph: Graph, called: Set[int], as_is: Mapping[str, str]) -> List[str]:
    return [
        f"{graph.path(number)}, a {type_name(type(item))} of a changed library, came as it is "
        f"({as_is[type_name(type(item))]}), and the probe does not run it"
        for number, item in enumerate(graph.objects)
        if isinstance(item, torch.nn.Module) and type_name(type(item)) in as_is and id(item) not in called
    ]


def weights_only(content: forms.File) -> Any:
    """True where torch's restricted unpickler takes the file, or the reason why not."""
    if content.form.kind not in ("archive", "legacy"):
        return f"it is a {content.form.kind}"
    try:
        torch.load(io.BytesIO(content.content), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - whatever it says
        lines = [line.strip() for line in describe(error).splitlines() if "GLOBAL" in line or "Unsupported" in line]
        return lines[0] if lines else describe(error).splitlines()[0]
    return True
