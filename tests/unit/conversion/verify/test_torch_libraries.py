"""Libraries that come before torch's own.

The loader is real, torch is a stand-in of one library; on a real torch 2.11.0 with a foreign libcudnn_ops.so.9 in
LD_LIBRARY_PATH the row was seen to fail by hand.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from conversion.failures import ConversionError
from conversion.verify import torch_libraries
from conversion.verify.torch_libraries import library_rows


def compile_library(path: Path, number: int, *options: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", str(path), "-x", "c", "-", "-x", "none"]
    subprocess.run(
        [*command, *options], input=f"int of_{path.name[3:7]}(void) {{ return {number}; }}".encode(), check=True
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A torch whose libtorch_cuda.so needs libcudart, and loads libcudnn_ops by name later."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    site = tmp_path / "site-packages"
    compile_library(site / "nvidia/cuda_runtime/lib/libcudart.so.12", 1)
    compile_library(site / "nvidia/cudnn/lib/libcudnn_ops.so.9", 2)
    needed = [str(site / "nvidia/cuda_runtime/lib/libcudart.so.12"), "-Wl,--no-as-needed", "-Wl,--enable-new-dtags"]
    runpath = "-Wl,-rpath,$ORIGIN/../../nvidia/cuda_runtime/lib"
    compile_library(site / "torch/lib/libtorch_cuda.so", 3, "-Wl,--no-as-needed", *needed, runpath)
    init = "import ctypes, os\nctypes.CDLL(os.path.dirname(os.path.abspath(__file__)) + '/lib/libtorch_cuda.so')\n"
    (site / "torch/__init__.py").write_text(init)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return site


@pytest.mark.usefixtures("site")
def test_torchs_own_libraries_pass_and_are_listed() -> None:
    (row,) = library_rows()
    assert (row.status, row.subject, row.found) == ("pass", "torch", "2 from there")
    assert row.detail == "nvidia/cuda_runtime/lib: libcudart.so.12; torch/lib: libtorch_cuda.so"


def test_a_library_that_shadows_one_fails_by_name(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_library(tmp_path / "old/libcudart.so.12", 9)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "old"))
    stranger, torch = library_rows()
    assert (stranger.status, stranger.subject) == ("fail", "libcudart.so.12")
    assert stranger.found == str(tmp_path / "old/libcudart.so.12")
    assert stranger.expected == str(site / "nvidia/cuda_runtime/lib/libcudart.so.12")
    assert f"LD_LIBRARY_PATH={tmp_path / 'old'} comes before torch's own" in stranger.detail
    assert (torch.status, torch.found) == ("pass", "1 from there")


@pytest.mark.usefixtures("site")
def test_what_torch_loads_later_is_looked_for_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_library(tmp_path / "old/libcudnn_ops.so.9", 9)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "old"))
    assert [(row.subject, row.status) for row in library_rows()] == [("libcudnn_ops.so.9", "fail"), ("torch", "pass")]


def test_the_same_content_elsewhere_passes(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "copy").mkdir()
    shutil.copy(site / "nvidia/cuda_runtime/lib/libcudart.so.12", tmp_path / "copy")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "copy"))
    assert [(row.subject, row.status) for row in library_rows()] == [("libcudart.so.12", "pass"), ("torch", "pass")]


def test_what_torch_has_none_of_informs(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base").mkdir()
    shutil.move(site / "nvidia/cuda_runtime/lib/libcudart.so.12", tmp_path / "base")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "base"))
    assert [(row.subject, row.status) for row in library_rows()] == [("libcudart.so.12", "info"), ("torch", "pass")]


def test_a_torch_that_cannot_be_imported_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConversionError, match=r"torch can't be imported: ImportError: libcudart\.so\.12"):
        torch_libraries.loaded()
