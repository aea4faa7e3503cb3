"""The failures of the manual guide's FAQ that a build can show, provoked with real BuildKit and told by `diagnose`.

Proves the thing: the words are BuildKit's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bake.failure.diagnosis import diagnose
from lab.demo_rootfs import Machine, rootfs_for

pytestmark = pytest.mark.engine

BASH = 'SHELL ["/bin/bash", "-c"]\n'
PROVOKED = {
    "no compiler, sh": ("RUN g++ -O2 -c knn.cpp\n", "compiler-absent"),
    "no compiler, bash": (BASH + "RUN g++ -O2 -c knn.cpp\n", "compiler-absent"),
    "no toolkit, sh": ("RUN nvcc --version\n", "nvcc-absent"),
    "no toolkit, bash": (BASH + "RUN nvcc --version\n", "nvcc-absent"),
    "no file to copy": ("COPY cuda_12.8.0_570.86.10_linux.run /tmp/cuda.run\n", "copy-absent"),
    "killed": ("RUN sh -c 'kill -9 $$'\n", "memory-full"),
    "no network": ("RUN --network=none apt-get update --error-on=any\n", "name-unresolved"),
}


@pytest.fixture(scope="module")
def rootfs() -> str:
    return rootfs_for(Machine(say=print), force=False)


@pytest.mark.parametrize("form", ["plain", "rawjson"])
@pytest.mark.parametrize("name", PROVOKED)
def test_a_provoked_failure_is_told(tmp_path: Path, rootfs: str, name: str, form: str) -> None:
    instructions, cause = PROVOKED[name]
    (tmp_path / "Dockerfile").write_text(f"FROM {rootfs}\n{instructions}")
    command = ["docker", "buildx", "build", "--progress", form, "--output", "type=cacheonly", str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode != 0
    told = subprocess.run(
        [sys.executable, "-m", "generator", "diagnose", "-", "--format", "json"],
        input=built.stdout + built.stderr,
        capture_output=True,
        text=True,
        check=True,
    )
    (finding,) = json.loads(told.stdout)["findings"]
    assert finding["cause"] == cause


def test_a_container_that_wants_a_gpu_on_a_machine_without_one(rootfs: str) -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", "--gpus", "all", rootfs, "nvidia-smi"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:  # a machine with GPU and container toolkit: nothing fails, so nothing may be told
        assert not diagnose(done.stdout.splitlines()).found
    else:
        assert [entry.known.id for entry in diagnose(done.stderr.splitlines()).found] == ["gpu-runtime-absent"]
