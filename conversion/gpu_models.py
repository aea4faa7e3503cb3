"""Every model on CPU and GPU: one forward each on the recipe's probe, and the outputs compared."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Tuple, Union

import torch

from conversion import cpu_defaults, models, stubs
from conversion.extract import files_of
from conversion.failures import ConversionError, describe
from conversion.gpu import CHECK
from conversion.loading import load_checkpoint, surroundings
from conversion.parity import Outputs, run_probe
from conversion.probe import make_inputs
from conversion.rows import FAIL, INFO, Row, judged

# Of an output's largest value: a network sums thousands of float32 terms in an order of the card's own, layer by layer.
TOLERANCE = 1e-3
SMALLEST = 1e-6  # absolute; outputs that are all but zero are rounding alone


Run = Union[Outputs, str]


class OnCard(torch.nn.Module):  # type: ignore[misc]  # torch is not installed where this is checked
    """A module on the card, called with inputs on the CPU.

    It is kept in a tuple, which is no part of a module in torch's sense: what `run_probe` does to the parts of a
    module, to make it run on the CPU, stays away from it.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.kept = (module,)

    def forward(self, **inputs: Any) -> Any:
        """The module's outputs, in eval mode."""
        (module,) = self.kept
        module.eval()
        return module(**{name: value.cuda() for name, value in inputs.items()})


def model_rows(spec: models.ModelSet) -> Iterator[Row]:
    """One row per model file of a set."""
    if spec.probe is None:
        yield Row(CHECK, f"set {spec.name}", "", "no probe", INFO, "the recipe has no inputs to run its models on")
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    sys.path[:0] = list(spec.path)
    missing = stubs.lacking(spec.stubs)
    del sys.path[: len(spec.path)]
    with surroundings(spec, missing):
        files = files_of(spec)
        on_card = {file: attempt(partial(run_on_card, spec, file)) for file in files}
        cpu_defaults.neutralise(spec.cpu_defaults)  # can't be undone: what runs on the card ran before
        for file in files:
            yield model_row(file, attempt(partial(run_on_cpu, spec, file)), on_card[file])
        if not files:
            yield Row(CHECK, f"set {spec.name}", "model files", "none", FAIL, ", ".join(spec.files))


def attempt(work: Callable[[], Outputs]) -> Run:
    """The outputs of a run, or what it failed with."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - model code may raise anything
        return describe(error)


def run_on_cpu(spec: models.ModelSet, file: str) -> Outputs:
    """The outputs of one forward on the CPU."""
    module = _module(spec, load_checkpoint(file))
    return run_probe(module, _inputs(spec, module), _seed(spec))


def run_on_card(spec: models.ModelSet, file: str) -> Outputs:
    """The outputs of one forward on the card.

    The checkpoint is loaded as its users load it on a GPU: tensors that are plain attributes are on the card too.
    """
    module = _module(spec, torch.load(file, map_location="cuda", weights_only=False))
    return run_probe(OnCard(module), _inputs(spec, module), _seed(spec))


def model_row(file: str, on_cpu: Run, on_card: Run) -> Row:
    """The row of one model file, from both runs."""
    expected = f"GPU as CPU within {TOLERANCE:.0e} of each output's largest value"
    if isinstance(on_card, str) or isinstance(on_cpu, str):
        where = [name for name, run in (("on the card", on_card), ("on the CPU", on_cpu)) if isinstance(run, str)]
        detail = "; ".join(run for run in (on_card, on_cpu) if isinstance(run, str))
        return judged(CHECK, file, expected, f"can't be run {' or '.join(where)}", False, detail)
    problems, largest = differences(on_cpu, on_card)
    shapes = ", ".join(f"output{place} {tuple(value.shape)}" for place, value in on_card)
    shown = "differs" if problems else f"differs by {largest:.1e}"
    return judged(CHECK, file, expected, shown, not problems, "; ".join([*problems, shapes]))


def _inputs(spec: models.ModelSet, module: Any) -> Dict[str, Any]:
    assert spec.probe is not None  # noqa: S101 - narrows the type
    return make_inputs(spec.probe, module)


def _seed(spec: models.ModelSet) -> int:
    return 0 if spec.probe is None else spec.probe.seed


def _module(spec: models.ModelSet, loaded: Any) -> Any:
    if spec.key is None:
        return loaded
    if not isinstance(loaded, dict) or spec.key not in loaded:
        raise ConversionError(f"is no dict with the key {spec.key!r}")
    return loaded[spec.key]


def differences(on_cpu: Outputs, on_card: Outputs) -> Tuple[List[str], float]:
    """What differs by more than the tolerance, and the largest relative difference of all outputs."""
    if [place for place, _ in on_cpu] != [place for place, _ in on_card]:
        return ["the outputs have other places on the card"], float("nan")
    problems: List[str] = []
    largest = 0.0
    for (place, cpu), (_, card) in zip(on_cpu, on_card):
        if cpu.shape != card.shape or cpu.dtype != card.dtype:
            problems.append(f"output{place} has another shape or type on the card")
            continue
        if not cpu.is_floating_point():
            if not torch.equal(cpu, card):
                problems.append(f"output{place} differs")
            continue
        scale = max(float(cpu.abs().max()) if cpu.numel() else 0.0, SMALLEST / TOLERANCE)
        gap = float((cpu.double() - card.double()).abs().max()) / scale if cpu.numel() else 0.0
        if not gap <= TOLERANCE:  # true for NaN
            problems.append(f"output{place} differs by {gap:.1e} of its largest value")
        largest = max(largest, gap)
    return problems, largest
