"""Every model on CPU and GPU: one forward each on the recipe's probe, and the outputs compared."""

from __future__ import annotations

from functools import partial
from typing import Callable, Iterator, List, Tuple, Union

import torch

from conversion.failures import ConversionError, describe
from conversion.gpu.checks import CHECK
from conversion.models import loading, probe
from conversion.models.extract import files_of
from conversion.models.model_spec import ModelSet
from conversion.models.outputs import Outputs
from conversion.models.parity import exact, gap, largest, unlike
from conversion.verify.rows import FAIL, INFO, Row, judged

# Of an output's largest value: a network sums thousands of float32 terms in an order of the card's own, layer by layer.
TOLERANCE = 1e-3
SMALLEST = 1e-6  # absolute; outputs that are all but zero are rounding alone


Run = Union[Outputs, str]


def model_rows(models: ModelSet) -> Iterator[Row]:
    """One row per model file of a set."""
    subject = f"set {models.name}"
    if models.probe is None:
        yield Row(CHECK, subject, "", "no probe", INFO, models.unprobed)
        return
    if models.probe.function is not None:
        yield Row(
            CHECK, subject, "", "not run on the card", INFO, "its probe is a function, which makes its own inputs"
        )
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    try:
        files = files_of(models)
    except ConversionError as error:
        yield Row(CHECK, subject, "model files", "none", FAIL, str(error))
        return
    with loading.import_path(models.path):
        for file in files:
            runs = [attempt(partial(run, models, file, card=card)) for card in (False, True)]
            yield model_row(file, *runs)


def attempt(work: Callable[[], Outputs]) -> Run:
    """The outputs of a run, or what it failed with."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - model code may raise anything
        return describe(error)


def run(models: ModelSet, file: str, *, card: bool) -> Outputs:
    """The outputs of the probe, on the card or on the CPU; tensors that are plain attributes are there too."""
    assert models.probe is not None  # noqa: S101 - narrows the type
    return probe.outputs(models.probe, loading.load(file), file, "float32", card=card)


def model_row(file: str, on_cpu: Run, on_card: Run) -> Row:
    """The row of one model file, from both runs."""
    expected = f"GPU as CPU within {TOLERANCE:.0e} of each output's largest value"
    if isinstance(on_card, str) or isinstance(on_cpu, str):
        where = [name for name, run in (("on the card", on_card), ("on the CPU", on_cpu)) if isinstance(run, str)]
        detail = "; ".join(run for run in (on_card, on_cpu) if isinstance(run, str))
        return judged(CHECK, file, expected, f"can't be run {' or '.join(where)}", False, detail)
    problems, most = differences(on_cpu, on_card)
    shapes = ", ".join(f"output{place} {tuple(value.shape)}" for place, value in on_card if value.dim())
    shown = "differs" if problems else f"differs by {most:.1e}"
    return judged(CHECK, file, expected, shown, not problems, "; ".join([*problems, shapes]))


def differences(on_cpu: Outputs, on_card: Outputs) -> Tuple[List[str], float]:
    """What differs by more than the tolerance, and the largest relative difference of all outputs."""
    if [place for place, _ in on_cpu] != [place for place, _ in on_card]:
        return ["the outputs have other places on the card"], float("nan")
    problems: List[str] = []
    most = 0.0
    for (place, cpu), (_, card) in zip(on_cpu, on_card):
        here = f"output{place}"
        kind = unlike(cpu, card)
        if kind:
            problems.append(f"{here} on the card {kind}")
            continue
        if exact(cpu):
            if not torch.equal(cpu, card):
                problems.append(f"{here} differs")
            continue
        apart = gap(cpu, card) / max(largest(cpu), SMALLEST / TOLERANCE)
        if apart > TOLERANCE:
            problems.append(f"{here} differs by {apart:.1e} of its largest value")
        most = max(most, apart)
    return problems, most
