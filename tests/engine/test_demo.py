"""What `make demo` left behind, held against what it promises. Runs after it: `.ci/run`, or `-m demo`.

Proves the thing for torch and two extensions; the packaging for DeepPrep, of which the demo is a stand-in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bake.buildx import results
from bake.reference import parse_reference
from bake.registry import Pushed, Registry
from generator.plan import build_graph
from generator.recipe import load_recipe

pytestmark = [pytest.mark.engine, pytest.mark.demo]

TOP = Path(__file__).parents[2]
BUILD = TOP / "build"
BASE = "deepprep-demo:25.1.0"
PYTHON = "/opt/conda/envs/deepprep/bin/python"


def read(path: Path) -> Any:
    assert path.is_file(), f"{path} is not there: run `make demo` first"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def demo() -> Any:
    return read(Path(os.environ.get("LOCAL_STATE", TOP / ".local")) / "demo.json")


@pytest.fixture(scope="module")
def image(demo: Any) -> str:
    return str(demo["image"])


@pytest.fixture(scope="module")
def report() -> Any:
    return read(BUILD / "verify" / "report.json")


def run_in(image: str, *command: str, status: int = 0) -> str:
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", "--entrypoint", command[0], image, *command[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (status == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_check_passed(report: Any) -> None:
    assert report["passed"] is True
    assert {row["status"] for row in report["rows"]} <= {"pass", "info"}


def test_the_checks_covered_every_kind(report: Any) -> None:
    kinds = {row["check"] for row in report["rows"] if row["status"] == "pass"}
    assert {"version", "absent", "cuda", "arch", "sass", "model", "patch", "conflict", "constraint"} <= kinds


def test_at_least_four_models_were_migrated_and_agree(report: Any) -> None:
    models = [row for row in report["rows"] if row["check"] == "model" and row["subject"].endswith(".model")]
    assert len(models) >= 4
    assert all(row["status"] == "pass" for row in models)


def test_both_extensions_hold_code_for_both_archs(report: Any) -> None:
    rows = {row["subject"]: row for row in report["rows"] if row["check"] == "sass"}
    assert set(rows) == {"torch-scatter", "torch-spline-conv"}
    assert all(row["found"] == "sm_90 sm_120" for row in rows.values())


def test_the_registry_holds_every_blob_of_the_image(image: str, demo: Any) -> None:
    reference = parse_reference(image)
    pushed = Registry(reference.registry).pushed(reference)
    assert isinstance(pushed, Pushed)
    assert pushed.complete
    assert pushed.digest == demo["digest"]


def test_the_base_layers_are_carried_over_untouched(image: str) -> None:
    def layers(name: str) -> list[str]:
        inspect = ["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", name]
        return list(json.loads(subprocess.run(inspect, capture_output=True, check=True).stdout))

    base, uplifted = layers(BASE), layers(image)
    assert uplifted[: len(base)] == base
    assert 3 <= len(uplifted) - len(base) <= 4


def test_history_and_files_hold_no_compiler_toolkit_cache_or_secret(image: str) -> None:
    def history(name: str) -> list[str]:
        command = ["docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    added = "\n".join(line for line in history(image) if line not in set(history(BASE)))
    assert "COPY /models/ /" in added
    assert not re.search(r"apt-get|cuda-toolkit|BEGIN CERTIFICATE|/etc/ssl/certs/ca-cert", added)
    found = run_in(
        image,
        "/bin/sh",
        "-c",
        "ls -d /usr/bin/g++* /usr/bin/gcc* /usr/local/cuda* /opt/build-requires /tools /uplift /ccache /wheels "
        "/root/.cache/* /run/secrets/* /build /site 2>/dev/null || true",
    )
    assert found.split() == []


def test_the_old_pickle_fails_in_the_new_environment(image: str) -> None:
    """Why there is a migration: the base's own model file, mounted into the uplifted image."""
    name = f"uplift-test-{os.getpid()}"
    subprocess.run(["docker", "create", "--name", name, BASE, "true"], check=True, capture_output=True)
    try:
        source = "/opt/model/SUGAR/model_files/fsaverage3/lh_NoRigid_904_fsaverage3.model"
        archive = subprocess.run(["docker", "cp", f"{name}:{source}", "-"], check=True, capture_output=True).stdout
    finally:
        subprocess.run(["docker", "rm", name], check=True, capture_output=True)
    script = (
        "import sys, tarfile, io\n"
        "sys.path.insert(0, '/opt/DeepPrep/deepprep/SUGAR')\n"
        "import torch\n"
        "with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as archive:\n"
        "    content = archive.extractfile(archive.getmembers()[0]).read()\n"
        "torch.load(io.BytesIO(content), map_location='cpu', weights_only=False)\n"
    )
    done = subprocess.run(
        ["docker", "run", "--rm", "-i", "--network=none", "--entrypoint", PYTHON, image, "-c", script],
        input=archive,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert b"_lazy_load_hook" in done.stderr


def test_the_sources_that_load_models_were_patched(image: str) -> None:
    found = run_in(image, "/bin/sh", "-c", "grep -rn 'torch.load(' /opt/DeepPrep --include=*.py")
    assert "weights_only=False" in found


def test_rebuild_did_not_wait_for_the_other_compile() -> None:
    """From the recorded step times, where the compile that it needs ended before the other one."""
    recorded = results.load(BUILD)

    def ended(target: str) -> float:
        return max((step.completed or 0.0 for step in recorded.steps_of(target)), default=0.0)

    assert recorded.steps_of("rebuild")
    assert "wheel-torch-spline-conv" not in build_graph(load_recipe("demo").recipe).ancestors("rebuild")
    if ended("wheel-torch-spline-conv") > ended("wheel-torch-scatter") + 2 and any(
        step.kind == "instruction" and not step.cached for step in recorded.steps_of("rebuild")
    ):
        assert recorded.overlap("rebuild", "wheel-torch-spline-conv") > 0
