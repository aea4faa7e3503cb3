"""The operations of the checks on a card, with the CPU in the card's place: references, tolerances, rows."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from conversion.gpu import model_rows, operations


@pytest.fixture(autouse=True)
def cpu_for_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)


@pytest.mark.parametrize("part", ["torch", "torch-scatter", "torch-spline-conv", "torch-cluster", "pytorch3d"])
def test_an_operation_agrees_with_its_reference(part: str) -> None:
    rows = list(operations.rows_of(part, {}))
    installed = importlib.util.find_spec(part.replace("-", "_")) is not None
    assert {row.status for row in rows} == {"pass" if installed else "info"}, rows
    assert all((row.found == "not installed") is not installed for row in rows)


def test_an_extension_that_the_recipe_promises_has_to_be_there() -> None:
    (row,) = operations.rows_of("torch-cluster", {"extensions": ["torch-cluster"]})
    assert (row.status, row.found) == ("fail", "not installed")


@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_a_wrong_result_fails(wrong: float) -> None:
    found = torch.ones(4)
    found[2] += wrong
    assert operations.compared("x", found, torch.ones(4)).status == "fail"
    assert operations.compared("x", torch.ones(3), torch.ones(4)).status == "fail"
    assert operations.compared("x", torch.ones(4) * (1 + 1e-6), torch.ones(4)).status == "pass"


def test_a_kernel_that_cannot_run_is_a_row_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_kernel(*_: Any) -> Any:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.nn.functional, "conv3d", no_kernel)
    first, second = operations.rows_of("torch", {})
    assert (first.status, second.status) == ("pass", "fail")
    assert "no kernel image" in second.detail


def test_no_card_is_a_failing_row_with_the_reason() -> None:
    row = operations.card_row(["12.0"])
    assert (row.status, row.expected, row.found) == ("fail", "a card for 12.0", "none that torch can use")
    assert "torch" in row.detail


@pytest.mark.parametrize(
    ("capability", "archs", "status", "detail"),
    [
        ("9.0", ["9.0", "12.0"], "pass", ""),
        ("8.9", ["8.6"], "pass", "served by 8.6"),
        ("9.0", ["12.0"], "info", "the card's 9.0 is not among the image's archs (12.0)"),
        ("9.0", [], "pass", ""),
    ],
)
def test_the_card_and_the_archs(capability: str, archs: list[str], status: str, detail: str) -> None:
    row = operations.describe_card("NVIDIA H200", capability, 140 << 30, archs, "")
    assert (row.status, row.detail, row.found) == (status, detail, f"NVIDIA H200, {capability}, 140 GiB")


def outputs(*values: float) -> list[tuple[str, Any]]:
    return [("[0]", torch.tensor(values)), ("[1]", torch.tensor([1, 2]))]


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (outputs(100.0, 1.0), "pass"),
        (outputs(100.05, 1.0), "pass"),
        (outputs(101.0, 1.0), "fail"),
        (outputs(float("nan"), 1.0), "fail"),
        (outputs(100.0), "fail"),
        (outputs(100.0, 1.0)[:1], "fail"),
        ([("[0]", torch.tensor([100.0, 1.0])), ("[1]", torch.tensor([1, 3]))], "fail"),
        ("CUDA error: out of memory", "fail"),
    ],
)
def test_both_runs_of_a_model_are_compared(found: Any, status: str) -> None:
    assert model_rows.model_row("/m", outputs(100.0, 1.0), found).status == status
