"""A recipe with small compiled extensions, for many bakes on many engines: real compiles, a stand-in for nvcc."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from generator.resolve.assets import asset_folder
from tests.engine.small import docker

CONTEXT = Path(__file__).parent / "compiled"
TARGET = "wheel-hello"
RECIPE = """\
schema = 2
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

[patch]
roots = ["/opt/app"]
"""
EXTENSION = """\

[assets.{name}]
url = "{url}"
sha256 = "{sha256}"

[extensions.{name}]
source = "archive"
asset = "{name}"
version = "1.0"
device-code = false
"""
SETUP = """\
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

setup(
    name="NAME",
    version="1.0",
    ext_modules=[CUDAExtension("NAME", ["module.cpp", "one.cu", "two.cu"])],
    cmdclass={"build_ext": BuildExtension},
)
"""
MODULE = """\
#include <Python.h>
int one(); int two();
static PyObject *sum(PyObject *, PyObject *) { return PyLong_FromLong(one() + two()); }
static PyMethodDef methods[] = {{"sum", sum, METH_NOARGS, ""}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "NAME", nullptr, -1, methods};
PyMODINIT_FUNC PyInit_NAME() { return PyModule_Create(&module); }
"""


def build_base(name: str, rootfs: str) -> None:
    """Build the base under a name."""
    bundle = os.environ.get("GENERATOR_CA_BUNDLE")
    secret = [f"--secret=id=ca-bundle,src={bundle}"] if bundle else []
    values = [f"--build-arg=ROOTFS={rootfs}", f"--build-arg=CACHEBUST={time.time_ns()}"]
    docker("buildx", "build", "--quiet", "--provenance=false", *secret, *values, "-t", name, str(CONTEXT))


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with the recipe and its assets; ``write`` again after a change of the sources.

    Every project's code differs a little (``salt``), so that no compiler cache of an earlier one knows it.
    """

    folder: Path
    base: str
    tag: str = "uplift-test-compiled:1"
    extensions: tuple[str, ...] = ("hello",)
    salt: int = field(default_factory=time.time_ns)
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
        """Write recipe and assets; ``changed`` are sources by their name without suffix."""
        text = RECIPE.format(tag=self.tag, base=self.base)
        for name in self.extensions:
            sources = {
                file: changed.get(file.partition(".")[0], content).replace("NAME", name) + self._salted(file)
                for file, content in self.sources.items()
            }
            archive, url = _archive(name, sources), f"https://example.invalid/{name}-1.0.tar.gz"
            place = asset_folder(self.assets, name, url)
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{name}-1.0.tar.gz").write_bytes(archive)
            text += EXTENSION.format(name=name, url=url, sha256=hashlib.sha256(archive).hexdigest())
        self.recipe.write_text(text)
        return self.recipe

    def _salted(self, file: str) -> str:
        return "" if file.endswith(".py") else f'const char *salt_{self.salt}_{file.partition(".")[0]} = "";\n'


def _archive(name: str, sources: dict[str, str]) -> bytes:
    """Pack sources into an archive with the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for file, text in sorted(sources.items()):
            entry = tarfile.TarInfo(f"{name}-1.0/{file}")
            entry.size = len(text.encode())
            packed.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
