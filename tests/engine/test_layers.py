"""An image whose stack is shared out over several layers is, file by file, the one that has it in a single layer.

Proves the thing: layers, files and registry are real, and the packages small.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.archive import Entry, Saved, manifest_of, saved
from tests.engine.body_limit import limited
from tests.engine.small import RECIPE, Generator, docker

pytestmark = [pytest.mark.engine, pytest.mark.long]

LIMIT = 12
NAME = "uplift-test-never:1"
# What the frozen image has, by our own hand: one package to go, two to change.
OLD = 'install = ["attrs==23.2.0", "six==1.16.0", "numpy==1.26.4"]'
NEW = 'install = ["six==1.17.0", "numpy==2.2.6"]\nremove = ["attrs"]\ninstalled-mib = 70'


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator(tmp_path_factory.mktemp("layers"))


def recipe(base: str, stack: str, tag: str = NAME) -> str:
    return RECIPE.format(base=base).replace('install = ["six==1.17.0"]', stack).replace("uplift-test-small:1", tag)


@pytest.fixture(scope="module")
def frozen(base: str, generator: Generator) -> Iterator[str]:
    """A base with packages in its environment, made by the program itself."""
    name = f"uplift-test-frozen:{os.getpid()}"
    done = generator(recipe(base, OLD, name), "bake")
    assert done.returncode == 0, done.stderr
    yield name
    docker("image", "rm", "--force", name, check=False)


@pytest.fixture(scope="module")
def images(frozen: str, generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Saved, Saved]:
    """The same recipe, without a limit and with one."""
    folder = tmp_path_factory.mktemp("archives")
    found: list[Saved] = []
    known: dict[str, dict[str, Entry]] = {}
    for options in ([], ["--layer-limit-mib", str(LIMIT)]):
        file = folder / f"{len(options)}.tar"
        done = generator(recipe(frozen, NEW), "bake", "--output", "oci-archive", str(file), *options)
        assert done.returncode == 0, done.stderr
        found.append(saved(file, known))
    return found[0], found[1]


def test_the_file_systems_are_the_same(images: tuple[Saved, Saved]) -> None:
    one, several = images
    assert not {name for name in several.files if "/attr/" in name or "numpy-1.26.4" in name}
    assert [name for name in several.files if name.endswith("six-1.17.0.dist-info/METADATA")]
    # A whole image with times of several moments, or this would prove little.
    assert len(several.files) > 5000
    assert len({entry[4] for entry in several.files.values()}) > 50
    different = {
        name: (one.files.get(name), several.files.get(name))
        for name in {*one.files, *several.files}
        if one.files.get(name) != several.files.get(name)
    }
    assert different == {}


def test_no_layer_is_larger_than_the_limit_and_no_bytes_are_added(images: tuple[Saved, Saved]) -> None:
    one, several = images
    single = [size for digest, size in one.layers.items() if digest not in several.layers]
    parts = [size for digest, size in several.layers.items() if digest not in one.layers]
    assert max(single) > LIMIT * 2**20
    assert max(parts) <= LIMIT * 2**20
    assert len([size for size in parts if size > 2**20]) > 1
    assert sum(parts) <= 1.02 * sum(single)


def test_the_history_tells_the_parts(images: tuple[Saved, Saved]) -> None:
    rows = [row for row in images[1].history if "conversion.layers.copy_layer" in row]
    assert [int(row.rpartition("--part ")[2].split()[0]) for row in rows] == list(range(1, 9))


def test_parts_made_again_are_the_same_bytes(
    images: tuple[Saved, Saved], frozen: str, generator: Generator, tmp_path: Path
) -> None:
    done = generator(recipe(frozen, NEW), "render", "--layer-limit-mib", str(LIMIT))
    assert done.returncode == 0, done.stderr
    archive = tmp_path / "again.tar"
    digest = docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", frozen).partition("@")[2]
    anew = ["--set", "layers.no-cache=true", "--set", f"image.output=type=oci,compression=zstd,dest={archive}"]
    ran = subprocess.run(
        ["docker", "buildx", "bake", "-f", "build/docker-bake.hcl", f"--allow=fs.write={tmp_path}", *anew, "image"],
        cwd=generator.folder,
        env={**os.environ, "BASE_IMAGE": f"{frozen}@{digest}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    with tarfile.open(archive) as again:
        found = {layer["digest"] for layer in manifest_of(again)["layers"]}
    assert found == images[1].layers.keys()


@pytest.mark.parametrize(
    ("stack", "limit", "message"),
    [
        (NEW.replace("= 70", "= 13"), 12, "layers of at most 12 MiB, and 3 are planned: write installed-mib = "),
        (NEW, 2, "is too large for a layer of 2 MiB"),
    ],
)
def test_what_does_not_fit_is_said(frozen: str, generator: Generator, stack: str, limit: int, message: str) -> None:
    done = generator(recipe(frozen, stack), "bake", "layers", "--layer-limit-mib", str(limit))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_layers_of_the_base_that_the_registry_would_refuse_are_said_before_the_bake(
    frozen: str, registry: str, generator: Generator
) -> None:
    # One registry by two names: what counts as another one, in which nothing is yet.
    base, target = f"{registry}/frozen:1", registry.replace("127.0.0.1", "localhost")
    docker("tag", frozen, base)
    try:
        docker("push", "--quiet", base)
        options = ["--push", "--registry", target, "--layer-limit-mib", str(LIMIT)]
        done = generator(recipe(base, NEW), "bake", *options)
    finally:
        docker("image", "rm", base, check=False)
    assert done.returncode == 3, done.stderr
    assert f"and {target}/uplift-test-never does not have them: sha256:" in done.stderr
    assert "can't be split" in done.stderr
    assert "started" not in done.stderr


def test_layers_over_the_limit_in_what_was_pushed_are_warned_of(
    frozen: str, registry: str, generator: Generator
) -> None:
    options = ["--push", "--registry", registry, "--layer-limit-mib", str(LIMIT)]
    done = generator(recipe(frozen, NEW), "bake", *options)
    assert done.returncode == 0, done.stderr
    # Nobody but the engine has this base, and the engine tells no compressed sizes.
    assert f"warning: the largest layer of {frozen} has " in done.stderr
    assert "uncompressed, the registry takes 12.6 MB compressed" in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "layers of more than 12 MiB are in the image" in line]
    assert line.count("sha256:") >= 1


def test_a_proxy_that_refuses_large_bodies_takes_the_parts(frozen: str, registry: str, generator: Generator) -> None:
    held = f"{registry}/{NAME.partition(':')[0]}:base"  # the base is in the repository already, by another way
    docker("tag", frozen, held)
    docker("push", "--quiet", held)
    docker("image", "rm", held, check=False)
    refused: list[int] = []
    with limited(registry, LIMIT * 2**20, refused) as proxy:
        whole = generator(recipe(frozen, NEW), "bake", "--push", "--registry", proxy)
        assert whole.returncode == 3, whole.stderr
        assert "413" in whole.stderr
        assert "--layer-limit-mib" in whole.stderr
        assert refused
        refused.clear()
        options = ["--layer-limit-mib", str(LIMIT)]
        split = generator(recipe(frozen, NEW), "bake", "--push", "--registry", proxy, *options)
        assert split.returncode == 0, split.stderr
        assert not refused
