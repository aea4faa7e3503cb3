"""Metadata of extensions, read before a compile: setuptools is the real one, torch a module of one line."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import CONTEXTS

SETUP = """\
import os, sys
import torch
from setuptools import setup
print("words on stdout")
{body}
setup(name="hello", version="1.0", install_requires=["iopath", os.environ.get("MORE", "six")],
      extras_require={{"all": ["matplotlib"]}})
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the scripts as a context has them, working below it."""
    scripts = tmp_path / "uplift"
    scripts.mkdir()
    text = (CONTEXTS / "wanted/metadata.py").read_text()
    (scripts / "metadata.py").write_text(text.replace('Path("/build")', f'Path("{tmp_path}/build")'))
    (scripts / "source_tree.py").write_bytes((CONTEXTS / "wheel/source_tree.py").read_bytes())
    (tmp_path / "site").mkdir()
    (tmp_path / "site/torch.py").write_text("version = 2\n")
    (tmp_path / "source").mkdir()
    return tmp_path


def pack(folder: Path, body: str = "") -> None:
    content = SETUP.format(body=body).encode()
    with tarfile.open(folder / "hello-1.0.tar.gz", "w:gz") as packed:
        entry = tarfile.TarInfo("hello-1.0/setup.py")
        entry.size = len(content)
        packed.addfile(entry, io.BytesIO(content))


def read(place: Path, *more: str, **environment: str) -> dict[str, object]:
    command = [sys.executable, str(place / "uplift/metadata.py"), "--source", str(place / "source")]
    command += ["--out", str(place / "out/x.json"), *more]
    variables = {**os.environ, "PYTHONPATH": f"{place / 'site'}:{os.environ.get('PYTHONPATH', '')}", **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((place / "out/x.json").read_text())
    assert isinstance(found, dict)
    return found


# Older ones need the package wheel as well. A virtual environment made without the extra `dev` may have one of those.
asks = pytest.mark.skipif(
    int(importlib.metadata.version("setuptools").partition(".")[0]) < 71, reason="needs setuptools of the extra `dev`"
)


@asks
def test_a_setup_py_that_imports_torch_is_asked(place: Path) -> None:
    pack(place / "source")
    assert read(place) == {"version": "1.0", "requires": ["iopath", "six", 'matplotlib; extra == "all"']}


@asks
def test_it_sees_the_recipes_environment_and_a_cuda_home(place: Path) -> None:
    pack(place / "source", 'assert os.environ["CUDA_HOME"] == "/usr/local/cuda" and os.environ["FORCE_CUDA"] == "1"')
    assert "numpy<2" in str(read(place, MORE="numpy<2")["requires"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('raise RuntimeError("no nvcc here")', "RuntimeError: no nvcc here"),
        ('sys.exit("nvcc is missing")', "nvcc is missing"),
        ("os._exit(3)", "ended with status 3"),
        ("os.abort()", "ended with status -6"),
        ("os._exit(0)", "ended with status 0"),
    ],
)
def test_one_that_fails_is_an_answer_too(place: Path, body: str, said: str) -> None:
    pack(place / "source", body)
    assert said in str(read(place)["error"])


def test_an_archive_of_another_commit_is_refused(place: Path) -> None:
    pack(place / "source")
    command = [sys.executable, str(place / "uplift/metadata.py"), "--source", str(place / "source")]
    command += ["--out", str(place / "x.json"), "--commit", "0" * 40]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the recipe asks for 0000000" in done.stderr


def test_a_wheels_own_metadata_is_read(place: Path) -> None:
    with zipfile.ZipFile(place / "source/hello-1.0-py3-none-any.whl", "w") as packed:
        packed.writestr("hello-1.0.dist-info/METADATA", "Name: hello\nVersion: 1.0\nRequires-Dist: torch>=2\n\nText\n")
        packed.writestr("hello/vendored/x-2.dist-info/METADATA", "Name: x\nVersion: 2\n")
    assert read(place) == {"version": "1.0", "requires": ["torch>=2"]}


def test_a_wheel_without_metadata_is_told(place: Path) -> None:
    with zipfile.ZipFile(place / "source/hello-1.0-py3-none-any.whl", "w") as packed:
        packed.writestr("hello.py", "")
    assert "has 0 files METADATA" in str(read(place)["error"])
