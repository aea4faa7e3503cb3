"""Runs `tests/with_torch` where torch is: in the old environment of the demo's base, and in the uplifted one.

Proves the thing: both torches are PyTorch's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.small import TOP

pytestmark = [pytest.mark.engine, pytest.mark.demo]

PYTHON = "/opt/conda/envs/deepprep/bin/python"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold pytest, pure Python, beside the images: they have none."""
    folder = tmp_path_factory.mktemp("runner")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
        str(folder),
    ]
    subprocess.run([*install, "pytest"], check=True)
    return folder


def in_image(which: str, runner: Path, *arguments: str, kept: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the environment's Python in one of the two images; what lies in ``/kept`` stays."""
    figures = Path(os.environ.get("LOCAL_STATE", TOP / ".local")) / "demo.json"
    image = "deepprep-demo:25.1.0" if which == "base" else json.loads(figures.read_text())["image"]
    mounts = [f"--volume={TOP}:/repository:ro", f"--volume={runner}:/runner:ro", "--tmpfs=/tmp:exec"]
    mounts += [f"--volume={kept}:/kept"] if kept else []
    environment = ["--env=PYTHONPATH=/repository:/runner", "--env=PYTHONDONTWRITEBYTECODE=1"]
    container = ["--rm", "--network=none", "--workdir=/repository", f"--entrypoint={PYTHON}", *mounts, *environment]
    command = ["docker", "run", *container, image, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("which", ["base", "uplifted"])
def test_models_of_every_awkward_kind(runner: Path, which: str) -> None:
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", "tests/with_torch"]
    done = in_image(which, runner, *tests)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_old_and_new_torch_agree_in_double_precision(runner: Path, tmp_path: Path) -> None:
    """Proves the thing: one torch records, the other compares; in single precision they do differ."""
    across = ("-m", "tests.with_torch.across")
    recorded = in_image("base", runner, *across, "record", "/kept/zoo.pt", kept=tmp_path)
    assert recorded.returncode == 0, recorded.stderr[-2000:]
    compared = in_image("uplifted", runner, *across, "compare", "/kept/zoo.pt", kept=tmp_path)
    assert compared.returncode == 0, compared.stdout + compared.stderr[-2000:]
    assert compared.stdout.count("agrees ") >= 15
    assert "(not equal to the bit)" in compared.stdout
