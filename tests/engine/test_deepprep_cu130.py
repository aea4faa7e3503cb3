"""The recipe `deepprep-cu130` on the demo's base: real packages, real compiles for Blackwell, real models.

Only PyTorch3D's archive is the lab's stand-in. Takes half an hour and more on two cores; not among the default tests:

    bake/local/ca-bundle.sh .venv/bin/python -m pytest -m heavy tests/engine/test_deepprep_cu130.py

Proves the thing for the stack and the four PyG extensions; the packaging for PyTorch3D and the models, which are
stand-ins. `make real` has the real ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.mirror import Lab, docker

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

BASE = "deepprep-demo:25.1.0"  # made by `make demo-base`
ARCH = os.environ.get("HEAVY_ARCH", "12.0")


@pytest.fixture(scope="module")
def rows(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    folder = Path(os.environ.get("HEAVY_FOLDER") or tmp_path_factory.mktemp("cu130"))
    folder.mkdir(parents=True, exist_ok=True)
    lab.write_site(folder)
    tag = f"uplift-test-cu130:{os.getpid()}"
    command = ["-r", "deepprep-cu130", "bake", "--site", "site.toml", "--base", BASE, "--arch", ARCH, "--tag", tag]
    done = lab.generator(*command, folder=folder)
    assert done.returncode == 0, done.stderr[-6000:]
    report: Any = json.loads((folder / "build/verify/report.json").read_text())
    yield report["rows"]
    docker("image", "rm", "--force", tag, check=False)


def passed(rows: list[dict[str, Any]], check: str) -> dict[str, str]:
    return {row["subject"]: row["found"] for row in rows if row["check"] == check and row["status"] == "pass"}


def test_the_stack_comes_from_pypi_and_says_its_cuda_build(rows: list[dict[str, Any]]) -> None:
    versions = passed(rows, "version")
    assert versions["torch"] == "2.11.0+cu130"
    assert {"torchvision", "torchaudio", "torch-geometric"} <= set(versions)
    assert passed(rows, "cuda") == {"torch": "13.0"}


def test_four_extensions_were_compiled_for_blackwell(rows: list[dict[str, Any]]) -> None:
    sass = passed(rows, "sass")
    assert {"torch-scatter", "torch-sparse", "torch-cluster", "torch-spline-conv", "pytorch3d"} == set(sass)
    assert all("sm_120" in found for found in sass.values())


def test_the_models_agree_and_the_environment_holds(rows: list[dict[str, Any]]) -> None:
    assert len(passed(rows, "model")) >= 4
    assert "environment" in passed(rows, "conflict")
    assert "environment" in passed(rows, "constraint")
