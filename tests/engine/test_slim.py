"""An image without static libraries, headers and tests of its new packages: real packages, layers and imports.

Proves the thing, on packages of PyPI other than torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine.archive import Entry, Saved, saved
from tests.engine.small import RECIPE, Generator, docker

pytestmark = [pytest.mark.engine, pytest.mark.long]


def package_index() -> str:
    """Give the address of the package index that pip uses here: the one set, or pip's default."""

    def ask(*arguments: str) -> str:
        return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False).stdout.strip()

    default = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    address = (
        os.environ.get("PIP_INDEX_URL") or ask("-m", "pip", "config", "get", "global.index-url") or ask("-c", default)
    )
    return address.rstrip("/")


ENV = "opt/env"
SITE = f"{ENV}/lib/python3.11/site-packages"
# networkx stays as the base has it; numpy changes; h5py and numpy.testing import tests; joblib is a wheel of its own.
OLD = 'install = ["networkx==3.2.1", "numpy==1.26.4"]'
NEW = 'install = ["numpy==2.2.6", "h5py==3.12.1"]'
EXTENSION = f"""
[extensions.joblib]
source = "wheel"
version = "1.4.2"
page = "{package_index()}/joblib/"
device-code = false
"""
SLIM = 'slim = ["static-libraries", "headers", "tests"]'


@dataclass(frozen=True)
class Baked:
    """An image on the engine: its name, its layers, what was verified, what it holds, and entries of its own layers."""

    name: str
    image: Saved
    report: Any
    contents: Any
    own: set[str]


def recipe(base: str, stack: str, tag: str, more: str = "", slim: str = "") -> str:
    text = RECIPE.format(base=base).replace('install = ["six==1.17.0"]', stack) + more
    return text.replace('tag = "uplift-test-small:1"', f'tag = "{tag}"\n{slim}')


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator(tmp_path_factory.mktemp("slim"))


@pytest.fixture(scope="module")
def frozen(base: str, generator: Generator) -> Iterator[str]:
    """A base with packages in its environment, made by the program itself."""
    name = f"uplift-test-slim-base:{os.getpid()}"
    done = generator(recipe(base, OLD, name), "bake")
    assert done.returncode == 0, done.stderr
    yield name
    docker("image", "rm", "--force", name, check=False)


@pytest.fixture(scope="module")
def images(
    frozen: str, generator: Generator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Baked, Baked, Saved]]:
    """The same recipe, whole and slim, and the base."""
    folder = tmp_path_factory.mktemp("archives")
    known: dict[str, dict[str, Entry]] = {}
    docker("save", "--output", str(folder / "base"), frozen)
    below = saved(folder / "base", known)
    found = []
    for word, slim in (("whole", ""), ("slim", SLIM)):
        name = f"uplift-test-slim-{word}:{os.getpid()}"
        done = generator(recipe(frozen, NEW, name, EXTENSION, slim), "bake")
        assert done.returncode == 0, done.stderr
        verified = generator.folder / "build/verify"
        docker("save", "--output", str(folder / word), name)
        image = saved(folder / word, known)
        found.append(
            Baked(
                name,
                image,
                json.loads((verified / "report.json").read_text()),
                json.loads((verified / "bytes.json").read_text()),
                {path for digest in image.layers if digest not in below.layers for path in known[digest]},
            )
        )
    yield found[0], found[1], below
    docker("image", "rm", "--force", *(baked.name for baked in found), check=False)


def left_out(images: tuple[Baked, Baked, Saved]) -> set[str]:
    return {*images[0].image.files} - {*images[1].image.files}


def is_python_test(path: str) -> bool:
    return path.startswith((f"{SITE}/numpy/", f"{SITE}/joblib/")) and bool({"test", "tests"} & {*path.split("/")})


def test_what_is_left_out_is_in_no_layer(images: tuple[Baked, Baked, Saved]) -> None:
    whole, slim, _ = images
    gone = left_out(images)
    assert {*slim.image.files} < {*whole.image.files}
    assert f"{SITE}/numpy/_core/lib/libnpymath.a" in gone
    assert f"{SITE}/numpy/_core/include/numpy/arrayobject.h" in gone
    assert f"{SITE}/numpy/lib/tests/test_io.py" in gone
    assert f"{SITE}/joblib/test/test_parallel.py" in gone
    assert f"{SITE}/numpy/lib/tests" in gone  # nor do empty folders stay
    other = [path for path in gone if not path.endswith((".a", ".h")) and not is_python_test(path)]
    assert {path for path in other if "/include" not in path and "/random/lib" not in path} == set()
    # Not deleted in a later layer either: the layers never had them, and have fewer bytes.
    assert gone <= whole.own
    assert slim.own & gone == set()
    assert sum(slim.image.layers.values()) < sum(whole.image.layers.values()) - 2**19


def test_all_other_files_are_the_same(images: tuple[Baked, Baked, Saved]) -> None:
    whole, slim, _ = images
    numbers = (0, 1, 2, 3, 5, 6, 7)  # all but times: joblib was installed once for each image
    different = {
        path: (whole.image.files[path], entry)
        for path, entry in slim.image.files.items()
        if [entry[number] for number in numbers] != [whole.image.files[path][number] for number in numbers]
    }
    assert different == {}


def test_what_the_base_has_is_untouched(images: tuple[Baked, Baked, Saved]) -> None:
    _, slim, base = images
    assert {*base.layers} < {*slim.image.layers}
    own = [path for path in base.files if path.startswith(f"{SITE}/networkx")]
    assert f"{SITE}/networkx/tests/test_convert.py" in own
    assert {path for path in own if slim.image.files.get(path) != base.files[path]} == set()


def test_bytes_and_kinds_are_reported(images: tuple[Baked, Baked, Saved], generator: Generator) -> None:
    whole, slim, _ = images
    assert "left_out" not in whole.contents
    told = slim.contents["left_out"]
    files = [path for path in left_out(images) if whole.image.files[path][0] == b"0"]
    assert sum(kind["files"] for kind in told["kinds"].values()) == len(files)
    less = whole.contents["environment"]["bytes"] - slim.contents["environment"]["bytes"]
    assert sum(kind["bytes"] for kind in told["kinds"].values()) == less > 2**20
    assert {(row["name"], row["kind"]) for row in told["packages"]} == {
        ("numpy", "static-libraries"),
        ("numpy", "headers"),
        ("numpy", "tests"),
        ("joblib", "tests"),
    }
    shown = generator((generator.folder / "small.toml").read_text(), "report", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert report["contents"]["left_out"] == told
    assert report["layers"][0]["target"] == "layers"


def test_the_verification_proves_it(images: tuple[Baked, Baked, Saved]) -> None:
    whole, slim, _ = images
    assert not [row for row in whole.report["rows"] if row["check"] == "slim"]
    rows = {row["subject"]: row for row in slim.report["rows"] if row["check"] == "slim"}
    assert {*rows} == {
        *("static-libraries", "headers", "tests", "files of new packages", "kept"),
        *("numpy", "h5py", "joblib"),
    }
    assert {row["status"] for subject, row in rows.items() if subject != "kept"} == {"pass"}
    assert {row["detail"] for row in slim.report["rows"] if row["subject"] == "kept"} == {
        f"lib/python3.11/site-packages/{folder}, since others import it"
        for folder in ("h5py/tests", "numpy/_core/tests")
    }
    assert slim.report["passed"]


def test_the_image_works_and_so_do_its_installers(images: tuple[Baked, Baked, Saved]) -> None:
    program = (
        "import numpy, numpy.testing, h5py, joblib, io, networkx\n"
        "from importlib import metadata\n"
        "numpy.linalg.inv(numpy.random.default_rng(1).normal(size=(9, 9)))\n"
        "h5py.File(io.BytesIO(), 'w')['x'] = numpy.arange(9)\n"
        "print(joblib.Parallel(2)(joblib.delayed(abs)(-n) for n in range(3)))\n"
        "print(metadata.version('numpy'), len(metadata.files('numpy')) > 500)\n"
    )
    python = ["docker", "run", "--rm", "--network=none", "--entrypoint"][1:]
    name = images[1].name
    said = docker(*python, "/opt/env/bin/python", name, "-c", program)
    assert said.splitlines() == ["[0, 1, 2]", "2.2.6 True"]
    pip = "/opt/env/bin/python -m pip"
    command = f"{pip} check && {pip} uninstall --yes numpy joblib && ! ls -d /{SITE}/numpy /{SITE}/joblib"
    assert "Successfully uninstalled numpy-2.2.6" in docker(*python, "sh", name, "-c", command)


def test_an_image_that_has_them_all_does_not_pass_for_a_slim_one(
    images: tuple[Baked, Baked, Saved], frozen: str, generator: Generator
) -> None:
    text = recipe(frozen, NEW, images[1].name, EXTENSION, SLIM)
    done = generator(text, "verify", images[0].name)
    assert done.returncode == 4, done.stderr
    assert "slim headers: expected left out of the new packages, found" in done.stderr
    assert "files are there" in done.stderr
    assert generator(text, "verify", images[1].name).returncode == 0


def test_a_compiler_in_the_image_keeps_the_headers(frozen: str, generator: Generator, tmp_path: Path) -> None:
    base = f"uplift-test-slim-compiler:{os.getpid()}"
    (tmp_path / "Dockerfile").write_text(f"FROM {frozen}\nRUN ln -s /bin/true /usr/local/bin/g++\n")
    docker("buildx", "build", "--quiet", "--provenance=false", "-t", base, str(tmp_path))
    name = f"uplift-test-slim-kept:{os.getpid()}"
    try:
        done = generator(recipe(base, NEW, name, slim=SLIM), "bake")
        assert done.returncode == 0, done.stderr
        rows = json.loads((generator.folder / "build/verify/report.json").read_text())["rows"]
        contents = json.loads((generator.folder / "build/verify/bytes.json").read_text())
    finally:
        docker("image", "rm", "--force", name, base, check=False)
    (kept,) = [row["detail"] for row in rows if row["subject"] == "kept" and "headers" in row["detail"]]
    assert kept == "all headers, since /usr/local/bin/g++ can compile at run time"
    assert contents["left_out"]["kinds"]["headers"] == {"files": 0, "bytes": 0}
    assert contents["left_out"]["kinds"]["tests"]["files"] > 100
    assert contents["kinds"]["headers"]["files"] > 10
