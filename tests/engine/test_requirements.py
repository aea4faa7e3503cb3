"""What extensions require, told and brought in before their compile ends: real BuildKit, uv, pip and PyPI.

Proves the packaging: the compiler and torch's extension builder are stand-ins, so no CUDA is compiled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bake.buildx import results
from lab.demo_rootfs import Machine, rootfs_for
from tests.engine.extension import SETUP, TARGET, Project, build_base
from tests.engine.small import TOP, docker

pytestmark = pytest.mark.engine

TAG = f"uplift-test-requires:{os.getpid()}"
PATIENCE = 600  # seconds that the compile takes on purpose: a failure is told long before
SLOW = SETUP.replace(
    "setup(\n",
    f"""
class Slow(BuildExtension):
    def run(self):
        import time
        time.sleep({PATIENCE})

setup(
""",
).replace('"build_ext": BuildExtension', '"build_ext": Slow')


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    name = f"uplift-test-requires-base:{os.getpid()}"
    build_base(name, rootfs_for(Machine(say=print), force=False))
    yield name
    docker("image", "rm", "--force", name, TAG, check=False)


@pytest.fixture
def bake(base: str, tmp_path: Path) -> Any:
    """Bake a recipe with one extension that requires something; ``keys`` go into its section."""

    def run(requires: str, *, setup: str = SETUP, keys: str = "") -> subprocess.CompletedProcess[str]:
        project = Project(folder=tmp_path, base=base, tag=TAG)
        project.write(setup=setup.replace('version="1.0",', f'version="1.0", install_requires={requires},'))
        project.recipe.write_text(project.recipe.read_text() + keys)
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", str(project.recipe), "bake"],
            cwd=project.folder,
            env={**os.environ, "PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(project.assets)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    return run


def steps(folder: Path, target: str) -> list[Any]:
    return [step for step in results.load(folder / "build").steps_of(target) if step.kind == "instruction"]


def test_what_an_extension_requires_comes_in(bake: Any) -> None:
    done = bake('["iopath", "six>=1.10"]', keys='requires = ["iopath==0.1.8"]\n')
    assert done.returncode == 0, done.stderr[-4000:]
    assert "requirements: comes in: iopath==0.1.8 (for hello), portalocker==" in done.stderr
    assert 'take these versions: [extensions.hello] requires = ["iopath==0.1.8", "portalocker==' in done.stderr
    program = "import hello, iopath, importlib.metadata as m; print(hello.sum(), m.version('iopath'), m.version('six'))"
    assert docker("run", "--rm", "--entrypoint", "/opt/env/bin/python", TAG, "-c", program) == "3 0.1.8 1.17.0"


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ('["six>=99"]', "it requires six>=99, and the environment has six 1.17.0"),
        ('["iopath==0.1.10"]', "hello: requires iopath==0.1.10"),  # a source archive alone
        ('["thing @ https://example.invalid/thing.whl"]', "nothing is fetched from where a package says"),
    ],
)
def test_what_can_not_come_in_is_told_while_the_compile_has_hardly_begun(
    bake: Any, tmp_path: Path, requires: str, said: str
) -> None:
    done = bake(requires, setup=SLOW)
    assert done.returncode == 1, done.stderr[-4000:]
    assert said in done.stderr, done.stderr[-4000:]
    assert "what to do" in done.stderr
    for step in steps(tmp_path, TARGET):  # ended together with the check, if it began
        assert step.state != "done"
        assert step.seconds < PATIENCE / 10
