"""A recipe with one compiled extension, small enough for many bakes on many engines: real compiles, a stand-in nvcc."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from generator.resolve import asset_folder
from tests.engine.small import docker

CONTEXT = Path(__file__).parent / "compiled"
URL = "https://example.invalid/hello-1.0.tar.gz"
TARGET = "wheel-hello"
RECIPE = """\
schema = 1
name = "compiled"
summary = "A recipe with one small extension, for tests"

[image]
tag = "{tag}"

[base]
image = "{base}"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["six==1.17.0"]

[toolkit]
source = "image"
image = "{base}"

[assets.hello]
url = "{url}"
sha256 = "{sha256}"

[extensions.hello]
source = "archive"
asset = "hello"
version = "1.0"
device-code = false

[patch]
roots = ["/opt/app"]
"""
SETUP = """\
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

setup(
    name="hello",
    version="1.0",
    ext_modules=[CUDAExtension("hello", ["module.cpp", "one.cu", "two.cu"])],
    cmdclass={"build_ext": BuildExtension},
)
"""
MODULE = """\
#include <Python.h>
int one(); int two();
static PyObject *sum(PyObject *, PyObject *) { return PyLong_FromLong(one() + two()); }
static PyMethodDef methods[] = {{"sum", sum, METH_NOARGS, ""}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "hello", nullptr, -1, methods};
PyMODINIT_FUNC PyInit_hello() { return PyModule_Create(&module); }
"""


def build_base(name: str, rootfs: str) -> None:
    """Build the base under a name."""
    bundle = os.environ.get("GENERATOR_CA_BUNDLE")
    secret = [f"--secret=id=ca-bundle,src={bundle}"] if bundle else []
    values = [f"--build-arg=ROOTFS={rootfs}", f"--build-arg=CACHEBUST={time.time_ns()}"]
    docker("buildx", "build", "--quiet", "--provenance=false", *secret, *values, "-t", name, str(CONTEXT))


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with the recipe and its asset; ``write`` again after a change of the sources."""

    folder: Path
    base: str
    tag: str = "uplift-test-compiled:1"
    sources: dict[str, str] = field(
        default_factory=lambda: {
            "setup.py": SETUP,
            "module.cpp": MODULE,
            "one.cu": "int one() { return 1; }\n",
            "two.cu": "int two() { return 2; }\n",
        }
    )

    @property
    def recipe(self) -> Path:
        return self.folder / "compiled.toml"

    @property
    def assets(self) -> Path:
        return self.folder / "assets"

    def write(self, **changed: str) -> Path:
        """Write recipe and asset; ``changed`` are sources by their name without suffix."""
        sources = {name: changed.get(name.partition(".")[0], text) for name, text in self.sources.items()}
        archive = _archive(sources)
        place = asset_folder(self.assets, "hello", URL)
        place.mkdir(parents=True, exist_ok=True)
        (place / "hello-1.0.tar.gz").write_bytes(archive)
        digest = hashlib.sha256(archive).hexdigest()
        self.recipe.write_text(RECIPE.format(tag=self.tag, base=self.base, url=URL, sha256=digest))
        return self.recipe


def _archive(sources: dict[str, str]) -> bytes:
    """Pack sources into an archive with the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, text in sorted(sources.items()):
            entry = tarfile.TarInfo(f"hello-1.0/{name}")
            entry.size = len(text.encode())
            packed.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
