"""Runs a probe through a module on the CPU, and compares the outputs of two runs.

The module runs in eval mode (dropout and batch statistics would make outputs random), without gradients, on
one thread, and its own mode is put back. On one machine the outputs must then be bitwise equal; a tolerance
is the exception that a recipe has to give a reason for.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

import torch

from conversion.attributes import names_cuda
from conversion.differences import largest_gap, same_bits, tensor_difference
from conversion.failures import ConversionError, describe
from conversion.models import Tolerance

THREADS = 1
Outputs = List[Tuple[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison.

    Attributes:
        agrees: whether the outputs are equal, or within the tolerance.
        bitwise: whether they are bitwise equal.
        largest: the largest absolute difference, None where outputs can't be subtracted.
        text: the outcome in words.
    """

    agrees: bool
    bitwise: bool
    largest: Optional[float]
    text: str


def run_probe(module: Any, inputs: Dict[str, Any], seed: int) -> Outputs:
    """The outputs of ``module(**inputs)``, flat: pairs of place ("", "[0]", "['xyz']") and tensor.

    Raises:
        ConversionError: the forward call failed, or returned something that holds no tensors.
    """
    modes = [(part, part.training) for part in module.modules()]
    copies = {name: value.clone() for name, value in inputs.items()}
    try:
        module.eval()
        with _one_thread(), _devices_on_cpu(module), torch.no_grad():
            torch.manual_seed(seed)
            returned = module(**copies)
    except Exception as error:  # model code may raise anything
        raise ConversionError(f"the probe's forward call failed: {describe(error)}") from error
    finally:
        for part, mode in modes:
            part.training = mode
    outputs = list(_flat(returned, ""))
    if not outputs:
        raise ConversionError(f"the probe's forward call returned no tensor but a {type(returned).__name__}")
    return outputs


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _devices_on_cpu(module: Any) -> Iterator[None]:
    """For the time of a call, attributes that name a CUDA device name the CPU."""
    changed = []
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, (str, torch.device)) and names_cuda(("device", str(value))):
                changed.append((part, name, value))
                setattr(part, name, "cpu" if isinstance(value, str) else torch.device("cpu"))
    try:
        yield
    finally:
        for part, name, value in changed:
            setattr(part, name, value)


def _flat(value: Any, place: str) -> Iterator[Tuple[str, Any]]:
    if isinstance(value, torch.Tensor):
        yield place, value.detach().cpu().clone()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{place}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _flat(item, f"{place}[{index}]")
    elif isinstance(value, (int, float)):
        yield place, torch.tensor(value)


def bitwise_equal(old: Outputs, new: Outputs) -> bool:
    """Whether two runs gave the same outputs, bit for bit."""
    return [place for place, _ in old] == [place for place, _ in new] and all(
        same_bits(a, b) for (_, a), (_, b) in zip(old, new)
    )


def compare(old: Outputs, new: Outputs, tolerance: Optional[Tolerance]) -> Verdict:
    """Compare the outputs recorded in the old environment with those of the new one."""
    if [place for place, _ in old] != [place for place, _ in new]:
        return Verdict(False, False, None, f"outputs had the places {_places(old)}, have {_places(new)}")
    if bitwise_equal(old, new):
        return Verdict(True, True, 0.0, f"{_count(old)} bitwise equal")
    shaped = all(a.shape == b.shape and a.dtype == b.dtype for (_, a), (_, b) in zip(old, new))
    gaps = [largest_gap(a, b) for (_, a), (_, b) in zip(old, new)] if shaped else [None]
    largest = None if any(gap is None for gap in gaps) else max(gap for gap in gaps if gap is not None)
    if tolerance is not None and largest is not None and largest <= tolerance.absolute:
        text = f"{_count(old)} within {largest:.3g} of a tolerance of {tolerance.absolute:.3g} ({tolerance.reason})"
        return Verdict(True, False, largest, text)
    texts = [f"output{place} {tensor_difference(a, b)}" for (place, a), (_, b) in zip(old, new) if not same_bits(a, b)]
    allowed = "bitwise equality is asked" if tolerance is None else f"the tolerance is {tolerance.absolute:.3g}"
    return Verdict(False, False, largest, "parity: " + "; ".join(texts) + f"; {allowed}")


def _places(outputs: Outputs) -> str:
    return ", ".join(place or "(one)" for place, _ in outputs)


def _count(outputs: Outputs) -> str:
    return "1 output" if len(outputs) == 1 else f"{len(outputs)} outputs"
