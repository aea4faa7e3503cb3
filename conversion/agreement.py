"""Whether a migrated model file agrees with the record of the old one: used by rebuild, and again by verify."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import torch

from conversion import attributes, differences, models, parity
from conversion.failures import ConversionError
from conversion.loading import load_checkpoint
from conversion.record import Record


@dataclass(frozen=True)
class Agreement:
    """What was compared and what came out; `problems` is empty where the file agrees.

    Attributes:
        problems: one line per disagreement.
        tensors: entries of the state dict that were compared.
        attributes: plain attributes of the model's own modules that were compared.
        other_keys: other keys of the checkpoint that were compared.
        verdict: the probe's outcome; None where there is no probe or it couldn't run.
    """

    problems: List[str]
    tensors: int
    attributes: int
    other_keys: int
    verdict: Optional[parity.Verdict]

    def to_json(self) -> Dict[str, Any]:
        """The figures as they stand in the parity report."""
        verdict = self.verdict
        return {
            "agrees": not self.problems,
            "problems": self.problems,
            "tensors": self.tensors,
            "attributes": self.attributes,
            "other_keys": self.other_keys,
            "parity": None if verdict is None else vars(verdict),
        }

    def __str__(self) -> str:
        probe = "no probe" if self.verdict is None else self.verdict.text
        return (
            f"{self.tensors} tensors and {self.attributes} attributes equal, {self.other_keys} other keys kept, {probe}"
        )


def examine(loaded: Any, record: Record, spec: models.ModelSet) -> Agreement:
    """Compare a loaded checkpoint with the record: keys, class, state, modes, attributes and outputs."""
    problems: List[str] = []
    module = loaded
    if spec.key is not None:
        if not isinstance(loaded, dict) or spec.key not in loaded:
            return Agreement([f"is no dict with the key {spec.key!r}"], 0, 0, 0, None)
        module = loaded[spec.key]
        problems.extend(_key_problems(loaded, record, spec))
    found = attributes.full_name(type(module))
    if found != record.class_name:
        problems.append(f"holds a {found}, was a {record.class_name}")
        return Agreement(problems, 0, 0, 0, None)
    problems.extend(state_problems(record, module))
    now = attributes.read_modules(module, attributes.Ownership(spec.path, spec.class_name))
    problems.extend(differences.attribute_differences(record.modules, now))
    verdict = None
    if record.probe is not None:
        try:
            outputs = parity.run_probe(module, dict(record.probe.inputs), record.probe.seed)
            verdict = parity.compare(record.probe.outputs, outputs, spec.tolerance)
            if not verdict.agrees:
                problems.append(verdict.text)
        except ConversionError as error:
            problems.append(str(error))
    return Agreement(
        problems=problems,
        tensors=len(record.state),
        attributes=sum(1 for _ in attributes.own_attributes(record.modules)),
        other_keys=len(record.checkpoint.rest),
        verdict=verdict,
    )


def _key_problems(loaded: Dict[Any, Any], record: Record, spec: models.ModelSet) -> List[str]:
    ownership = attributes.Ownership(spec.path, spec.class_name)
    problems = [f"the checkpoint's key {key!r} is gone" for key in record.checkpoint.keys if key not in loaded]
    for key, blob in record.checkpoint.rest:
        if key in loaded:
            old = attributes.encode(load_checkpoint(io.BytesIO(blob)), ownership)
            new = attributes.encode(loaded[key], ownership)
            problems.extend(differences.difference(old, new, f"the checkpoint's key {key!r}"))
    return problems


def state_problems(record: Record, module: Any) -> List[str]:
    """Entries of the state dict that are missing, new or different, and parameters whose gradient flag changed."""
    state = module.state_dict()
    problems = [f"state {name} is missing" for name in record.state if name not in state]
    problems += [f"state {name} is new" for name in state if name not in record.state]
    for name, old in record.state.items():
        new = state.get(name)
        if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor) and not differences.same_bits(old, new):
            problems.append(f"state {name}: {differences.tensor_difference(old, new)}")
    flags = {name: bool(value.requires_grad) for name, value in module.named_parameters()}
    for name, flag in record.requires_grad.items():
        if flags.get(name, flag) is not flag:
            problems.append(f"parameter {name}: requires_grad was {flag}, is {flags[name]}")
    return problems
