"""What a base brings along: real BuildKit, a base that ends as a user, requires a driver, and holds device code.

Proves the packaging: TensorFlow's package is a stand-in of its place and name. That the hook holds back the real one is
shown in tests/unit/contexts/test_image_uplift_device.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.small import RECIPE, Generator, docker
from tests.unit.conversion.verify.conftest import Library

pytestmark = pytest.mark.engine

PLACE = {"CA_BUNDLE": os.environ.get("GENERATOR_CA_BUNDLE", ""), "BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
REQUIREMENT = "cuda>=11.8 brand=tesla,driver>=470,driver<471"
SITE = "/opt/env/lib/python3.11/site-packages"
DOCKERFILE = f"""\
ARG BASE
FROM ${{BASE}}
COPY tensorflow/ {SITE}/tensorflow/
COPY RECORD {SITE}/tensorflow-2.11.1.dist-info/RECORD
RUN printf 'Metadata-Version: 2.1\\nName: tensorflow\\nVersion: 2.11.1\\n' > {SITE}/tensorflow-2.11.1.dist-info/METADATA
RUN useradd --uid 1234 app && chmod 700 /opt/app
ENV NVIDIA_REQUIRE_CUDA="{REQUIREMENT}"
USER app:users
"""
DEVICE = """
[device.tensorflow]
action = "cpu"
up-to = "9.0"
reason = "its wheels fail on Blackwell"
"""


@pytest.fixture(scope="module")
def user_base(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A base that ends as another user than root."""
    folder = tmp_path_factory.mktemp("user-base")
    Library.write(folder / "tensorflow/_internal.so", "80", "80")
    (folder / "tensorflow/__init__.py").write_text('"""Nothing."""\n')
    (folder / "RECORD").write_text("tensorflow/_internal.so,,\ntensorflow/__init__.py,,\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    name = f"uplift-test-user-base:{os.getpid()}"
    docker("buildx", "build", f"--build-arg=BASE={base}", "-t", name, str(folder))
    yield name
    docker("image", "rm", "--force", name, "uplift-test-inherited:1", check=False)


def recipe(base: str, more: str = "") -> str:
    return RECIPE.format(base=base).replace("uplift-test-small:1", "uplift-test-inherited:1") + more


def config(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(docker("inspect", "--format", "{{json .Config}}", name))
    return found


def test_steps_run_as_root_and_the_image_ends_as_the_bases_user(user_base: str, tmp_path: Path) -> None:
    done = Generator(tmp_path)(recipe(user_base, DEVICE), "bake")
    assert done.returncode == 0, done.stderr
    found = config("uplift-test-inherited:1")
    assert found["User"] == "app:users"
    assert "NVIDIA_REQUIRE_CUDA=cuda>=13.0" in found["Env"]  # type: ignore[operator]
    assert found["Labels"]["io.image-uplift.driver"] == ">=580.65.06"  # type: ignore[index]
    run = ("run", "--rm", "--network=none", "--entrypoint")
    assert docker(*run, "id", "uplift-test-inherited:1", "-un") == "app"
    # What root installed is there for that user, and every interpreter has the hook.
    script = "import six, sys; print([type(finder).__module__ for finder in sys.meta_path])"
    assert "image_uplift_device" in docker(*run, "/opt/env/bin/python", "uplift-test-inherited:1", "-c", script)
    rows = {row["subject"]: row for row in json.loads((tmp_path / "build/verify/report.json").read_text())["rows"]}
    assert rows["NVIDIA_REQUIRE_CUDA"]["status"] == "pass"
    tensorflow = rows["tensorflow 2.11.1"]
    assert (tensorflow["check"], tensorflow["status"]) == ("device", "info")
    assert tensorflow["detail"].startswith("runs on the CPU where the card is of compute capability 12.0")
    assert rows["tensorflow on the CPU"]["status"] == "pass"


def test_a_base_of_root_without_a_requirement_gets_none(base: str, tmp_path: Path) -> None:
    done = Generator(tmp_path)(recipe(base), "bake")
    assert done.returncode == 0, done.stderr
    found = config("uplift-test-inherited:1")
    assert found.get("User", "") == ""
    assert not [entry for entry in found["Env"] if entry.startswith("NVIDIA_REQUIRE")]  # type: ignore[attr-defined]


def test_plain_buildx_says_it_with_variables(user_base: str, tmp_path: Path) -> None:
    assert Generator(tmp_path)(recipe(user_base), "render").returncode == 0
    done = subprocess.run(
        ["docker", "buildx", "bake", "-f", "build/docker-bake.hcl", "image", "--load"],
        cwd=tmp_path,
        env={**os.environ, **PLACE, "BASE_USER": "app:users", "NVIDIA_REQUIRE": "new"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert config("uplift-test-inherited:1")["User"] == "app:users"


def test_a_python_without_wheels_is_said_before_anything_is_built(base: str, tmp_path: Path) -> None:
    text = recipe(base).replace('cuda = "13.0"', 'cuda = "13.0"\npython = ">=3.12,<3.15"')
    done = Generator(tmp_path)(text, "bake")
    assert done.returncode == 2
    assert "/opt/env has Python 3.11, and the new stack has wheels for Python >=3.12,<3.15 alone" in done.stderr
    assert 'take a stack that has: [stack] from = "torch2.11-cu130" or "torch2.7-cu128"' in done.stderr
    assert not (tmp_path / "build/results.json").exists()
    # Whoever builds without this software learns it from the first step.
    assert Generator(tmp_path)(text, "render").returncode == 0
    plain = ["docker", "buildx", "bake", "-f", "build/docker-bake.hcl", "torch"]
    built = subprocess.run(
        plain, cwd=tmp_path, env={**os.environ, **PLACE}, capture_output=True, text=True, check=False
    )
    assert built.returncode != 0
    assert "/opt/env has Python 3.11" in built.stderr
