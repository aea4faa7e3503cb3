"""Bundles: an engine in a network without a way out bakes from one. Real BuildKit.

Proves the thing, with a package of one module in the place of the stack.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli

from tests.engine.compare import differences
from tests.engine.network.engine import Engine
from tests.engine.network.processes import run
from tests.engine.network.switch import Switch
from tests.engine.small import RECIPE, TOP, docker

pytestmark = [pytest.mark.engine, pytest.mark.long]

IMAGE = "uplift-test-small:1"


@pytest.fixture
def island(switch: Switch) -> Iterator[Engine]:
    """An empty engine, from whose network no way leads out."""
    with Engine("island", switch) as made:
        run("ip", "netns", "exec", made.namespace.name, "ip", "route", "delete", "default")
        yield made


def generator(folder: Path, *arguments: str, engine: Engine | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line; for an engine in its network."""
    place = ["nsenter", f"--net={engine.namespace}"] if engine else []
    environment = {**(engine.environment if engine else os.environ), "PYTHONPATH": str(TOP)}
    if engine:
        environment.pop("GENERATOR_FETCHER", None)  # no image fetches there
    return subprocess.run(
        [*place, sys.executable, "-m", "generator", "-r", "./small.toml", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def own_base(base: str, tmp_path: Path) -> Iterator[str]:
    """A base whose code no earlier one had: BuildKit takes steps again where bytes are the same, whatever the times."""
    name, code = f"{base}-bundle", f'import torch\nmodel = torch.load(open("{time.time_ns()}", "rb"))\n'
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "load.py").write_text(code)
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY load.py /opt/app/load.py\n")
    docker("buildx", "build", "--tag", name, str(folder))
    yield name
    docker("image", "rm", "--force", name, check=False)


def test_an_engine_without_a_network_bakes_from_a_bundle(own_base: str, island: Engine, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(RECIPE.format(base=own_base))
    done = generator(tmp_path, "bundle", "all")
    assert done.returncode == 2
    assert "not everything is locked" in done.stderr
    assert generator(tmp_path, "lock", "--without", "base").returncode == 0
    done = generator(tmp_path, "bundle", "all")
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "all\n"
    (wheel,) = tomli.loads((tmp_path / "small.lock.toml").read_text())["files"]["stack"]
    assert (tmp_path / "all/fetched/fetch-stack/fetched" / wheel).is_file()

    without = generator(tmp_path, "bake", engine=island)
    assert without.returncode == 3  # it has no base, and nobody to ask
    done = generator(tmp_path, "bake", "--bundle", "all", engine=island)
    assert done.returncode == 0, done.stderr[-4000:]
    program = "import six; print(six.__version__)"
    said = island.docker("run", "--rm", "--network=none", "--entrypoint", "/opt/env/bin/python", IMAGE, "-c", program)
    assert said.strip() == "1.17.0"
    assert generator(tmp_path, "bake").returncode == 0
    saved = tmp_path / "here.tar", tmp_path / "island.tar"
    docker("save", IMAGE, "--output", str(saved[0]))
    island.docker("save", IMAGE, "--output", saved[1])
    assert "\n".join(differences(*saved)) == ""  # to the last layer, on two engines
