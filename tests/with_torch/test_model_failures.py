"""What extract and rebuild say of models that they can't migrate. Needs a torch, as ``test_models.py`` does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

import torch

from tests.with_torch.cases import Case, edit

FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "class": ({}, {"class": "net.Other"}, "holds a net.Net, but the recipe's class is net.Other"),
    "key": ({}, {"key": "net"}, "has no key 'net'; it has 'epoch', 'model', 'best'"),
    "key of no module": ({}, {"key": "best"}, "the key 'best' is a float, not a module"),
    "whole file": ({}, {"key": None}, "the file is a dict, not a module; its keys are"),
    "no such argument": ({}, {"constructor": {"p": {"value": 1}}}, "p is no argument of Net"),
    "no source": ({}, {"constructor": {}}, "dropout: Net has no attribute 'dropout'"),
    "no plain value": ({}, {"constructor": {"dropout": {"attribute": "drop"}}}, "no plain value"),
    "no file": ({}, {"files": ["/nowhere/*.pt"]}, "no file matches /nowhere/*.pt"),
    "no module": ({}, {"cpu_defaults": ["nothing"]}, "can't import nothing, named in cpu_defaults"),
    "forward": (
        {},
        {"probe": {"inputs": [{"name": "x", "shape": [2, 9]}]}},
        "the probe's forward call failed: RuntimeError",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_extract_names_the_model_and_the_reason(case: Case, capsys: pytest.CaptureFixture[str], name: str) -> None:
    arguments, changes, expected = FAILURES[name]
    case.make(**arguments)
    assert case.extract(**changes) == 1
    shown = capsys.readouterr().err
    assert expected in shown
    assert str(case.file) in shown or "model set nets" in shown


def test_every_failing_file_is_named_and_the_others_are_done(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make()
    for name in ("b.pt", "c.pt"):
        (case.file.parent / name).write_bytes(b"no checkpoint")
    assert case.extract() == 1
    shown = capsys.readouterr().err
    assert "2 of 3 models failed" in shown
    assert "b.pt: can't be loaded" in shown
    assert "c.pt: can't be loaded" in shown
    assert (case.folder / "x" / "0000-a.pt.pt").exists()


def failed_rebuild(case: Case, capsys: pytest.CaptureFixture[str], **changes: Any) -> Callable[[], str]:
    case.make()
    assert case.extract() == 0
    return lambda: (case.rebuild(**changes), capsys.readouterr().err)[1]


def test_missing_unexpected_and_misshapen_state_is_told_at_once(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "torch.nn.BatchNorm1d(width)", "torch.nn.LayerNorm(width + 1)")
    shown = run()
    assert f"{case.file}: the state does not fit" in shown
    assert "Unexpected key(s)" in shown
    assert "norm.running_mean" in shown
    assert "size mismatch for norm.weight" in shown


def test_a_changed_index_tensor_fails_with_its_name(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "n - 1, -1, -1", "n", file="shapes.py")
    shown = run()
    assert "index: differs by at most 3" in shown
    assert "pools[0]: differs by at most 3" in shown
    assert "pools[1]['up'][0]" in shown
    assert "parity: output['out'] differs" in shown


def test_an_attribute_of_a_helper_object_is_compared(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "torch.eye(n)", "torch.eye(n) * 2", file="shapes.py")
    assert "helper[table]: differs by at most 1" in run()


def test_other_outputs_fail_unless_a_tolerance_allows_them(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "x.sum(1)", "x.sum(1) + 1e-4")
    shown = run()
    assert "output['more'][0] differs by at most" in shown
    assert "bitwise equality is asked" in shown
    assert case.rebuild(tolerance={"absolute": 1e-3, "reason": "a test"}) == 0
    (entry,) = json.loads((case.folder / "parity.json").read_text())["models"]
    assert entry["parity"]["bitwise"] is False
    assert "(a test)" in entry["parity"]["text"]
    assert case.rebuild(tolerance={"absolute": 1e-6, "reason": "a test"}) == 1


def test_what_training_set_after_construction(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    def change(net: Any) -> None:
        net.epoch = 12
        net.history = [1.0, {"best": torch.ones(2)}]

    case.make(change)
    assert case.extract() == 0
    assert case.rebuild() == 1
    assert "epoch was 12, is 0" in capsys.readouterr().err
    assert case.rebuild(restore=["epoch"]) == 0
    (entry,) = json.loads((case.folder / "parity.json").read_text())["models"]
    assert set(entry["restored"]) == {"device", "epoch", "history"}


def test_weights_in_a_plain_list_do_not_go_unnoticed(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    edit(case, "self.epoch = 0", "self.epoch = 0; self.hidden = [torch.nn.Linear(2, 2)]")
    case.make()
    assert case.extract() == 0
    assert case.rebuild() == 1
    assert "hidden[0]" in capsys.readouterr().err


def test_a_stand_in_that_is_called_is_named(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    edit(case, "self.epoch = 0", "self.epoch = 0; thing()")
    case.make()
    assert case.extract() == 0
    assert case.rebuild() == 1
    assert "absent_library.deep.thing was called" in capsys.readouterr().err


def test_a_stand_in_that_would_be_pickled_is_named(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make()
    assert case.extract() == 0
    edit(case, "self.epoch = 0", "self.epoch = 0; self.kept = thing")
    assert case.rebuild() == 1
    assert "absent_library.deep.thing was pickled" in capsys.readouterr().err


def test_construction_on_cuda_says_what_to_name(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make()
    assert case.extract() == 0
    assert case.rebuild(cpu_defaults=[]) == 1
    shown = capsys.readouterr().err
    assert "can't construct net.Net(" in shown
    assert "cpu_defaults" in shown


def test_another_key_that_the_new_environment_cannot_load(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make(around=lambda net: {"model": net, "other": net.helper})
    assert case.extract() == 0
    edit(case, "class Helper", "class Renamed", file="shapes.py")
    edit(case, "import index_of, Helper", "import index_of, Renamed as Helper")
    assert case.rebuild() == 1
    assert "the checkpoint's key 'other' can't be loaded" in capsys.readouterr().err


def test_random_outputs_are_refused_without_a_tolerance(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    edit(case, '"more": [x.sum(1)]', '"more": [x.sum(1) + float(__import__("os").urandom(1)[0])]')
    case.make()
    assert case.extract() == 1
    assert "differ between two runs" in capsys.readouterr().err
