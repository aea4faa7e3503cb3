"""The package as users install it: from its wheel, into an empty environment, away from the checkout.

Proves the thing: the wheel is built, installed and used.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.small import RECIPE, TOP

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(TOP)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    installed = folder / "venv/bin/python"
    install = [str(installed), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return installed


def generator(python: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(python), "-m", "generator", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_renders_what_the_checkout_renders(python: Path, tmp_path: Path) -> None:
    done = generator(python, tmp_path, "-r", "demo", "render")
    assert done.returncode == 0, done.stderr
    (tmp_path / "checkout").mkdir()
    own = [sys.executable, "-m", "generator", "-r", "demo", "render"]
    subprocess.run(own, cwd=tmp_path / "checkout", env={**os.environ, "PYTHONPATH": str(TOP)}, check=True)
    assert content(tmp_path / "build") == content(tmp_path / "checkout/build")


def test_bakes(python: Path, tmp_path: Path, base: str) -> None:
    (tmp_path / "small.toml").write_text(RECIPE.format(base=base))
    done = generator(python, tmp_path, "-r", "small.toml", "bake")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("uplift-test-small:1@sha256:")
