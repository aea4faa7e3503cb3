"""Carries the migration corpus from the demo's base image to the uplifted one: real torch on both sides.

Proves the thing: the files are made and judged by stock libraries, and `keep` knows nothing of the proof.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.small import TOP

pytestmark = [pytest.mark.engine, pytest.mark.demo]

PYTHON = "/opt/conda/envs/deepprep/bin/python"
BASE = "deepprep-demo:25.1.0"
CORPUS = "tests.with_torch.migration"


def uplifted() -> str:
    figures = Path(os.environ.get("LOCAL_STATE", TOP / ".local")) / "demo.json"
    return str(json.loads(figures.read_text())["image"])


class Volume:
    """A folder that both environments see at one place."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, image: str, *arguments: str, entrypoint: str = PYTHON) -> subprocess.CompletedProcess[str]:
        mounts = [f"--volume={TOP}:/repository:ro", f"--volume={self.name}:/corpus", "--tmpfs=/tmp:exec"]
        environment = ["--env=PYTHONPATH=/repository", "--env=PYTHONDONTWRITEBYTECODE=1", "--env=PYTHONWARNINGS=ignore"]
        container = ["--rm", "--network=none", "--workdir=/repository", f"--entrypoint={entrypoint}"]
        command = ["docker", "run", *container, *mounts, *environment, image, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def module(self, image: str, name: str, *arguments: str, folder: str) -> None:
        done = self.run(image, "-m", f"{CORPUS}.{name}", *arguments, "--out", f"/corpus/{folder}")
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]

    def read(self, path: str) -> Any:
        return json.loads(self.run(BASE, f"/corpus/{path}", entrypoint="/bin/cat").stdout)


@pytest.fixture(scope="module")
def volume() -> Iterator[Volume]:
    name = f"uplift-test-migration-{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "volume", "create", name], check=True, capture_output=True)
    yield Volume(name)
    subprocess.run(["docker", "volume", "rm", "--force", name], check=True, capture_output=True)


@pytest.fixture(scope="module")
def carried(volume: Volume) -> Volume:
    """The corpus, made in the old environment and carried into the new one."""
    volume.module(BASE, "run", "make", folder="run")
    volume.module(BASE, "run", "extract", folder="run")
    volume.module(uplifted(), "run", "rebuild", folder="run")
    return volume


def test_every_case_keeps_what_it_must_and_nothing_is_lost(carried: Volume) -> None:
    carried.module(uplifted(), "run", "keep", folder="run")
    results = carried.read("run/results.json")
    outcomes = Counter(result["outcome"] for result in results)
    assert outcomes["lost"] == 0
    assert sum(outcomes.values()) >= 120
    assert carried.read("run/missing.json") == {}
    refused = {result["name"] for result in results if result["outcome"] == "refused"}
    assert refused == {result["name"] for result in results if result["expected"] == "refused"}


@pytest.mark.parametrize(
    ("of_each", "mutations"), [(1, 100), pytest.param(5, 500, marks=pytest.mark.heavy)]
)  # of each file
def test_no_mutation_of_a_migrated_file_gets_through(carried: Volume, of_each: int, mutations: int) -> None:
    carried.module(uplifted(), "mutate", f"--of-each={of_each}", folder="run")
    summary = carried.read("run/mutations.json")
    assert summary["through"] == []
    assert summary["mutations"] >= mutations
    assert summary["files"] >= 25
    assert sum(summary["none"].values()) < summary["mutations"] / 20


def test_bad_input_is_told_by_name_and_nothing_is_half_written(volume: Volume) -> None:
    volume.module(BASE, "bad", "make", folder="bad")
    volume.module(BASE, "bad", "extract", folder="bad")
    volume.module(BASE, "bad", "damage", folder="bad")
    volume.module(uplifted(), "bad", "rebuild", folder="bad")
