from __future__ import annotations

import pytest

from conversion.environment import constraints
from conversion.environment.inventory import Inventory

BASE = Inventory(
    python="3.10.14",
    packages={
        "torch": "2.0.1+cu118",
        "nvidia-cublas-cu11": "11.10.3.66",
        "numpy": "1.26.4",
        "tensorflow": "2.11.1",
        "apex": "0.1+local.3",
        "nnunet": "1.7.1",
        "odd": "2020b-py38",
        "old-post": "1.0-1",
        "epoch": "1!2.0.post1.dev3",
    },
    conflicts=("The package `tensorflow` requires `protobuf<3.20`, but `4.1` is installed",),
    editable={"nnunet": "/src/nnunet"},
)


def test_constraints() -> None:
    lines = constraints.constraints(BASE, ["Torch", "nvidia_*"])
    assert [line for line in lines if not line.startswith("#")] == [
        "apex==0.1+local.3",
        "epoch==1!2.0.post1.dev3",
        "numpy==1.26.4",
        "old-post==1.0-1",
        "tensorflow==2.11.1",
    ]
    comments = "\n".join(line for line in lines if line.startswith("#"))
    assert "# torch: released, was 2.0.1+cu118" in comments
    assert "# nvidia-cublas-cu11: released" in comments
    assert "# nnunet: editable install of /src/nnunet" in comments
    assert "# odd: version 2020b-py38 is not PEP 440" in comments


@pytest.mark.parametrize(
    ("name", "globs", "expected"),
    [
        ("torch", ["torch"], True),
        ("torch-scatter", ["torch"], False),
        ("torch_scatter", ["Torch.Scatter"], True),
        ("nvidia-cudnn-cu11", ["nvidia-*"], True),
        ("numpy", ["nvidia-*", "torch*"], False),
    ],
)
def test_released(name: str, globs: list[str], expected: bool) -> None:
    assert constraints.released(name, globs) is expected
