"""The bench itself, on a recipe without torch: both ways for real, on an engine that is not the user's.

Proves the packaging: that the bench runs and counts. Its figures on a recipe without torch say nothing of DeepPrep.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.small import RECIPE, TOP, docker

pytestmark = [pytest.mark.engine, pytest.mark.long]


def bench(folder: Path, base: str, *options: str) -> subprocess.CompletedProcess[str]:
    recipe = folder / "small.toml"
    recipe.write_text(RECIPE.format(base=base))
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", "-r", str(recipe), "--json", str(folder / "out.json"), *options],
        cwd=TOP,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.heavy
def test_both_ways_are_measured_on_an_engine_that_is_gone_afterwards(base: str, tmp_path: Path) -> None:
    done = bench(tmp_path, base, "--scenario", "cold", "--disk-gib", "1", "--no-verify")
    assert done.returncode == 0, done.stderr[-4000:]
    data: Any = json.loads((tmp_path / "out.json").read_text())
    runs = {(run["way"], run["scenario"]): run for run in data["runs"]}
    assert set(runs) == {("guide", "cold"), ("ours", "cold")}
    for way in ("guide", "ours"):
        cold = runs[way, "cold"]
        assert cold["cpu_seconds"] > 0
        assert cold["peak_memory"] is None or cold["peak_memory"] > 0
        assert cold["bytes"]["added"] > 0
    assert [step["name"] for step in runs["guide", "cold"]["steps"]] == ["torch", "patch"]
    assert {"torch", "image", "verify"} <= set(runs["ours", "cold"]["ran"])
    assert runs["ours", "cold"]["bytes"]["needed"] > 30_000  # six
    assert "| cold bake | " in done.stdout
    assert "uplift-bench" not in docker("images", "--format", "{{.Repository}}").splitlines()
    process = done.stdout + done.stderr
    assert "Traceback" not in process


def test_too_little_disk_is_said_before_anything_starts(base: str, tmp_path: Path) -> None:
    done = bench(tmp_path, base, "--disk-gib", "1000000")
    assert done.returncode == 3
    assert "one round needs 10000" in done.stderr
    assert not (tmp_path / "out.json").exists()
