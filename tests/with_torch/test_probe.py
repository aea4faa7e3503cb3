"""Probes on real torch: what is drawn, what is called, how wide it is computed, what comes back, what is told.

Proves the thing for the torch that runs it; `across` proves that two of them agree.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from torch import nn

from conversion.failures import ConversionError
from conversion.models import draw, model_spec, probe
from conversion.models.outputs import flat
from conversion.models.parity import compare, exact, same_bits
from tests.with_torch import across, zoo


def described(**changes: Any) -> Any:
    raw = {"seed": 1, "sizes": {"n": 4}, **changes}
    (models,) = model_spec.parse({"schema": 2, "sets": [{"name": "a", "files": ["/m"], "probe": raw}]}).sets
    return models.probe


def one_input(**entry: Any) -> Any:
    return described(calls=[{"inputs": [entry]}]).calls[0].inputs[0][1]


DRAWN: dict[str, tuple[dict[str, Any], str]] = {
    "normal": ({"shape": [1000]}, "137ed06df919"),
    "half": ({"shape": [1000], "dtype": "float16", "scale": 3}, "0690fc791415"),
    "complex": ({"shape": [50, 2], "dtype": "complex64"}, "550351e968ac"),
    "uniform": ({"shape": [1000], "distribution": "uniform", "low": -1, "high": 3, "dtype": "float64"}, "4bb04833152a"),
    "integers": ({"shape": [1000], "distribution": "integers", "low": 5, "high": 17, "dtype": "int8"}, "c52ce6a28518"),
    "booleans": ({"shape": [1000], "distribution": "booleans"}, "d03b1584ca1a"),
    "sphere": ({"shape": [300, 3], "distribution": "sphere", "scale": 100}, "0ee0200746f6"),
    "edges": ({"shape": [2, 60], "distribution": "edges", "high": 20}, "4f9e8a0a1fe5"),
    "zeros": ({"shape": [3, "n"], "distribution": "zeros", "dtype": "bfloat16"}, "fb7f014653dc"),
    "ones": ({"shape": [], "distribution": "ones", "scale": 2}, "acd50d6f693a"),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_inputs_are_the_same_bits_on_every_torch(kind: str) -> None:
    entry, digest = DRAWN[kind]
    made = draw.make(one_input(**entry), "0.x", 7, {"n": 4}, {})
    assert list(made.shape) == [4 if size == "n" else size for size in entry["shape"]]
    text = repr(made.to(torch.complex128).tolist() if made.is_complex() else made.double().tolist())
    assert hashlib.sha256(f"{made.dtype}{text}".encode()).hexdigest()[:12] == digest


def test_what_is_drawn_is_what_was_asked_for() -> None:
    def made(**entry: Any) -> Any:
        return draw.make(one_input(**entry), "0.x", 7, {"n": 4}, {})

    normal = made(shape=[20000], dtype="float64")
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.03
    uniform = made(shape=[20000], distribution="uniform", low=2, high=4)
    assert (uniform >= 2).all()
    assert (uniform < 4).all()
    assert abs(float(uniform.mean()) - 3) < 0.03
    whole = made(shape=[20000], distribution="integers", low=3, high=6)
    assert whole.unique().tolist() == [3, 4, 5]
    assert made(shape=[200], distribution="booleans").dtype == torch.bool
    lengths = made(shape=[50, 3], distribution="sphere", scale=100).norm(dim=1)
    assert torch.allclose(lengths, torch.full((50,), 100.0))
    source, target = made(shape=[2, 60], distribution="edges", high=20)
    assert (source != target).all()
    assert target.unique().tolist() == list(range(20))
    assert not same_bits(made(shape=[9]), draw.make(one_input(shape=[9]), "0.y", 7, {}, {}))
    assert not same_bits(made(shape=[9]), draw.make(one_input(shape=[9]), "0.x", 8, {}, {}))


@pytest.mark.parametrize("name", zoo.CASES)
def test_double_precision_reaches_everything_and_runs_repeat(name: str) -> None:
    first, again = across.recorded(name), across.recorded(name)
    for kind in ("float32", "float64"):
        runs = getattr(first, kind), getattr(again, kind)
        assert all(same_bits(a, b) for (_, a), (_, b) in zip(*runs)), kind  # noqa: B905 - 3.8
    assert not [place for place, value in first.float64 if value.dtype in (torch.float32, torch.float16)]
    verdict = compare(first, again)
    assert verdict.agrees
    assert verdict.bitwise
    assert 0 < verdict.old_error < 1e-5, verdict.text


def test_what_torch_is_asked_for_by_default_is_put_back() -> None:
    names = [(torch, "FloatTensor"), (torch, "set_default_dtype"), (torch.cuda, "synchronize"), (torch.cuda, "device")]
    before = [vars(owner)[name] for owner, name in names]
    across.recorded("prefers")
    assert [vars(owner)[name] for owner, name in names] == before
    assert torch.get_default_dtype() == torch.float32
    assert torch.zeros(1).device.type == "cpu"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.buried = {"heads": [nn.Dropout(0.5)]}
        self.raised = False

    def forward(self, x):
        return self.buried["heads"][0](self.linear(x))

    def name(self, _x):
        return "no tensor"

    def leave(self, _x):
        raise SystemExit(3)


X = {"shape": [2, 4]}


def run(checkpoint: Any, **changes: Any) -> list[tuple[str, Any]]:
    return probe.outputs(described(**(changes or {"calls": [{"inputs": [X]}]})), checkpoint, "/m/level3.pt", "float32")


def test_every_outermost_module_runs_and_a_place_chooses() -> None:
    checkpoint = {"model": zoo.settled(Net()), "ema": [zoo.settled(Net())], "epoch": 3, "best.model": Net()}
    places = [place for place, _ in run(checkpoint) if "~" not in place]
    assert [place for place in places if not place.endswith("(inputs)")] == [
        "['model']",
        "['best.model']",
        "['ema'][0]",
    ]
    chosen = run(checkpoint, at=["ema.0", "best.model"], calls=[{"inputs": [X]}])
    assert {place.partition("~")[0] for place, _ in chosen if "(" not in place} == {"ema.0", "best.model"}


def test_a_few_numbers_are_computed_for_several_inputs() -> None:
    assert len([place for place, _ in run(Net()) if "(inputs)" in place]) == probe.MOST_DRAWS
    wide = run(Net(), calls=[{"inputs": [{"shape": [16, 4]}]}])
    assert [place for place, _ in wide] == ["(inputs)", ""]


FUNCTION = """
import torch

def probe(checkpoint, file):
    model = checkpoint["model"]
    assert file == "/m/level3.pt" and not model.training
    x = torch.ones(2, 4, device="cuda")
    return {"once": model(x), "twice": [model(model(x))], "width": x.dtype}

def broken(checkpoint, file):
    return checkpoint["nothing"]
"""


def test_a_function_runs_in_both_precisions() -> None:
    kinds = {"float32": torch.float32, "float64": torch.float64}
    for precision, dtype in kinds.items():
        asked = described(function={"name": "probe", "source": FUNCTION})
        found = dict(probe.outputs(asked, {"model": zoo.settled(Net())}, "/m/level3.pt", precision))
        assert list(found) == ["['once']", "['twice'][0]", "['width']"]
        assert found["['twice'][0]"].dtype == dtype


CALL = {"calls": [{"inputs": [X]}]}
FAILING: dict[str, tuple[Any, dict[str, Any], str]] = {
    "weights alone": ({"weight": torch.ones(2)}, CALL, "holds no module to run the probe on: it is a dict"),
    "place": ({"model": Net()}, {"at": ["ema"], **CALL}, "nothing at 'ema': a dict has no 'ema'; its keys are model"),
    "no module": ({"epoch": 3}, {"at": ["epoch"], **CALL}, "the probe's place 'epoch' holds a int, no module"),
    "shape": ({"model": Net()}, {"calls": [{"inputs": [{"shape": [2, 5]}]}]}, "test_probe.py"),
    "argument": (Net(), {"calls": [{"inputs": [{"name": "y", "value": 1}]}]}, "unexpected keyword argument 'y'"),
    "method": (Net(), {"calls": [{"method": "encode", "inputs": []}]}, "a Net has no method 'encode'"),
    "no tensor": (Net(), {"calls": [{"method": "name", "inputs": [X]}]}, "returned no tensor but a str"),
    "exit": (Net(), {"calls": [{"method": "leave", "inputs": [X]}]}, "failed: SystemExit: 3"),
    "function": ({}, {"function": {"name": "broken", "source": FUNCTION}}, "KeyError: 'nothing' (probes.py:11)"),
    "no function": ({}, {"function": {"name": "other", "source": FUNCTION}}, "has no function 'other'"),
    "import": ({}, {"function": {"name": "f", "source": "import nowhere"}}, "probes.py can't be run: ModuleNotFound"),
    "none": (
        Net(),
        {"calls": [{"inputs": [{"shape": [2], "distribution": "integers", "low": 4, "high": "n"}]}]},
        "the probe asks for integers from 4 to below 4: there are none",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_probe_that_cannot_run_says_why(name: str) -> None:
    checkpoint, changes, message = FAILING[name]
    with pytest.raises(ConversionError) as caught:
        run(checkpoint, **changes)
    assert message in str(caught.value)


def test_half_precision_is_widened_and_doubles_stay() -> None:
    tied = torch.ones(3).half()
    checkpoint = {"model": zoo.settled(Net()).half(), "tied": [tied, tied], "double": torch.ones(2).double()}
    probe.widen(checkpoint, "float32")
    assert checkpoint["model"].linear.weight.dtype == torch.float32
    assert checkpoint["tied"][0] is checkpoint["tied"][1]
    assert checkpoint["tied"][0].dtype == torch.float32
    assert checkpoint["double"].dtype == torch.float64
    probe.widen(checkpoint, "float64")
    assert checkpoint["model"].linear.weight.dtype == torch.float64


def test_nothing_of_an_output_is_left_out() -> None:
    circle: list[Any] = [torch.ones(1)]
    circle.append(circle)
    packed = nn.utils.rnn.pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])
    found = dict(flat({"circle": circle, "packed": packed, "size": torch.Size([2]), "big": 2**70, "kind": torch.half}))
    assert list(found) == [
        "['circle'][0]", "['circle'][1]", "['packed'].data", "['packed'].batch_sizes", "['packed'].sorted_indices",
        "['packed'].unsorted_indices", "['size'][0]", "['big']", "['kind']",
    ]  # fmt: skip
    assert bytes(found["['circle'][1]"].tolist()).decode() == "the same as ['circle']"
    assert bytes(found["['big']"].tolist()).decode() == str(2**70)
    assert not same_bits(*(value for _, value in flat([1, True])))
    assert [exact(value) for _, value in flat([1, 0.5, "a", None])] == [True, False, True, True]
    assert type(flat(nn.Parameter(torch.ones(4)))[0][1]) is torch.Tensor
