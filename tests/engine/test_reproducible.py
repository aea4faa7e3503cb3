"""The same bake on two engines that had nothing: the same image and the same wheel, to the digest.

Proves the thing for steps, layers and what buildx exports; for compiles the packaging, nvcc being a stand-in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo_rootfs import Machine, rootfs_for
from tests.engine.compare import differences
from tests.engine.extension import Project, build_base
from tests.engine.network.authority import Authority
from tests.engine.network.engine import Engine
from tests.engine.network.fixtures import ACCOUNTS
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch
from tests.engine.small import TOP, docker

pytestmark = [pytest.mark.engine, pytest.mark.long]

USER, PASSWORD = next(iter(ACCOUNTS.items()))
NAMES = ("same-a", "same-b")
# Bytecode of sets of texts, and a layer of many files: what depends on a seed, a clock or an order shows.
STACK = 'install = ["six==1.17.0", "pygments==2.19.2"]'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    base = f"uplift-test-same-base:{os.getpid()}"
    build_base(base, rootfs_for(Machine(say=print), force=False))
    made = Project(folder=tmp_path_factory.mktemp("same"), base=base)
    recipe = made.write()
    recipe.write_text(recipe.read_text().replace('install = ["six==1.17.0"]', STACK))
    yield made
    docker("image", "rm", "--force", base, check=False)


@pytest.fixture(scope="module")
def baked(project: Project, switch: Switch, authority: Authority, private_registry: PrivateRegistry) -> dict[str, Path]:
    """The archives of two bakes, which pushed as well."""
    found = {}
    for name in NAMES:
        with Engine(name, switch) as engine:
            engine.trust(private_registry.host, authority.certificate)
            for image in filter(None, (project.base, os.environ.get("GENERATOR_FETCHER"))):
                engine.load(image)
            found[name] = bake(project, engine, f"{private_registry.host}/{name}", authority.bundle())
    return found


def bake(project: Project, engine: Engine, registry: str, bundle: Path) -> Path:
    folder = project.folder / engine.name
    folder.mkdir()
    options = ["--push", "--registry", registry, "--username", USER, "--password-stdin", "--ca-bundle", str(bundle)]
    options += ["--output", "oci-archive", str(folder / "image.tar"), "--progress", "plain"]
    done = subprocess.run(
        [sys.executable, "-m", "generator", "-r", str(project.recipe), "bake", *options],
        cwd=folder,
        env={**engine.environment, "PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(project.assets)},
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "image.tar"


def test_the_images_are_equal(baked: dict[str, Path], private_registry: PrivateRegistry) -> None:
    assert list(differences(*baked.values())) == []
    one, other = (private_registry.digest(f"{name}/uplift-test-compiled", "1") for name in NAMES)
    assert one == other != ""


@pytest.mark.usefixtures("baked")
def test_the_images_of_the_wheel_are_equal(private_registry: PrivateRegistry) -> None:
    repositories = [f"{name}/uplift-wheels" for name in NAMES]
    tags = [private_registry.tags(repository) for repository in repositories]
    assert tags[0] == tags[1]
    assert len(tags[0]) == 1
    one, other = (private_registry.digest(repository, tags[0][0]) for repository in repositories)
    assert one == other
