"""``verify --gpu`` on the engine of this machine, and the container of the checks without a GPU.

Proves the packaging on a machine without a GPU, where most of these run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bake.engine import facts
from bake.engine.captured import NotRun, run_captured
from bake.engine.gpu_access import Access, access_of
from generator.commands import verify_gpu
from tests.engine.small import RECIPE, TOP, docker

pytestmark = pytest.mark.engine


def verify_on_gpu(folder: Path, base: str, image: str) -> subprocess.CompletedProcess[str]:
    (folder / "small.toml").write_text(RECIPE.format(base=base))
    return subprocess.run(
        [sys.executable, "-m", "generator", "-r", "small.toml", "verify", image, "--gpu"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_engine_without_a_gpu_is_told_with_what_to_install(tmp_path: Path, base: str) -> None:
    has_gpu = access_of(facts.connect()) is not Access.NONE
    done = verify_on_gpu(tmp_path, base, base)
    if has_gpu:  # the base has no torch
        assert done.returncode == 4
        assert "gpu card" in done.stderr
        return
    assert done.returncode == 3
    assert "can't give containers a GPU" in done.stderr
    assert "nvidia-container-toolkit" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "build").exists()  # said before anything starts


def spec_in(folder: Path) -> Path:
    path = folder / "verify.json"
    path.write_text(json.dumps({"recipe": "small", "prefix": "/opt/env", "archs": ["12.0"]}))
    return path


def containers() -> str:
    return docker("ps", "--all", "--quiet", "--filter", f"label={verify_gpu.LABEL}")


def test_the_checks_run_in_the_image_and_their_report_comes_back(tmp_path: Path, base: str) -> None:
    request = verify_gpu.container(Access.HOOK, python="/opt/env/bin/python", spec=spec_in(tmp_path))
    without_gpu = {**request, "device_requests": []}
    client = facts.connect()
    try:
        captured = run_captured(client, base, without_gpu, timeout=verify_gpu.TIMEOUT)
    finally:
        client.close()
    report = verify_gpu.read(captured, image=base)
    (row,) = report.rows
    assert (report.recipe, report.passed) == ("small", False)
    assert (row.subject, row.status) == ("card", "fail")
    assert "No module named 'torch'" in row.detail
    assert containers() == ""


def test_what_the_engine_cannot_start_leaves_no_container(tmp_path: Path, base: str) -> None:
    request = verify_gpu.container(Access.HOOK, python="/opt/none/bin/python", spec=spec_in(tmp_path))
    client = facts.connect()
    try:
        with pytest.raises(NotRun, match=r"device driver|/opt/none/bin/python"):
            run_captured(client, base, request, timeout=verify_gpu.TIMEOUT)
    finally:
        client.close()
    assert containers() == ""
