"""Two compiles of one source, with the real compile.py: equal to the byte, and for the recipe's archs alone.

torch's extension builder is the stand-in of the engine tests. With the stand-in for nvcc the host compiler's half is
proven, in folders of different names; with a real nvcc, where there is one, both halves.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools", minversion="70.1", reason="makes wheels itself from then on")
BENCH = Path(__file__).parents[2] / "bench/compile.py"
STAND_IN = Path(__file__).parents[2] / "engine/compiled"
SETUP = """\
from pathlib import Path
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

top = Path(__file__).absolute().parent
sources = [str(top / name) for name in ("module.cpp", "one.cu", "two.cu")]
setup(
    name="twice",
    version="1.0",
    ext_modules=[CUDAExtension("twice", sources)],
    cmdclass={"build_ext": BuildExtension},
)
"""
HOST = """\
const char *place() { return __FILE__; }
namespace { struct Made { Made() { place(); } } made; }
"""
# Nothing in it has a name for others: nvcc then makes one up of its process id.
DEVICE = """\
namespace {
__device__ int counter;
__global__ void add(int *x) { *x += counter; }
struct Made { Made() { add<<<1, 1>>>(nullptr); } } made;
}
"""
NVCC = shutil.which("nvcc")


def sdist(folder: Path, device: str) -> Path:
    """Pack the extension."""
    sources = {"setup.py": SETUP, "module.cpp": HOST, "one.cu": device, "two.cu": HOST.replace("place", "two")}
    with tarfile.open(folder / "twice-1.0.tar.gz", "w:gz") as packed:
        for name, text in sources.items():
            entry = tarfile.TarInfo(f"twice-1.0/{name}")
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))
    return folder / "twice-1.0.tar.gz"


def compiled(archive: Path, folder: Path, cuda_home: Path, prepend: str = "") -> tuple[bytes, str]:
    """Compile in a folder, which is removed afterwards; gives the wheel and what was said."""
    tools = archive.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "ninja").write_text("#!/bin/sh\n")  # the stand-in only looks whether it is there
    (tools / "ninja").chmod(0o755)
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(STAND_IN),
        "TORCH_CUDA_ARCH_LIST": "9.0;12.0",
        "NVCC_PREPEND_FLAGS": prepend,
        "CCACHE_DISABLE": "1",
    }
    command = [sys.executable, str(BENCH), "--inner", "ours", "--sdist", str(archive), "--archs", "9.0;12.0"]
    command += ["--cuda-home", str(cuda_home), "--work", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "wheels").glob("*.whl")
    content = wheel.read_bytes()
    shutil.rmtree(folder)
    return content, done.stdout + done.stderr


@pytest.mark.skipif(not Path("/usr/bin/c++").exists(), reason="needs /usr/bin/c++")
def test_two_compiles_in_different_folders_are_equal(tmp_path: Path) -> None:
    toolkit = tmp_path / "cuda"
    (toolkit / "bin").mkdir(parents=True)
    shutil.copy(STAND_IN / "nvcc", toolkit / "bin/nvcc")
    archive = sdist(tmp_path, HOST.replace("place", "one"))
    (first, said), (second, _) = (compiled(archive, tmp_path / name, toolkit) for name in ("here", "elsewhere"))
    assert first == second
    assert "knows no --frandom-seed" in said
    with zipfile.ZipFile(io.BytesIO(first)) as wheel:
        library = next(wheel.read(name) for name in wheel.namelist() if name.endswith(".so"))
    assert b"twice-1.0/module.cpp" in library
    assert str(tmp_path).encode() not in library


@pytest.mark.heavy  # needs nvcc
def test_two_compiles_with_the_real_nvcc_are_equal(tmp_path: Path) -> None:
    home = subprocess.run([str(NVCC), "--dryrun", "-c", "x.cu"], capture_output=True, text=True, check=False).stderr
    toolkit = Path(next(line for line in home.splitlines() if line.startswith("#$ TOP=")).partition("=")[2])
    archive = sdist(tmp_path, DEVICE)
    made = [compiled(archive, tmp_path / "build", toolkit.resolve(), prepend) for prepend in ("", "-arch=sm_80")]
    assert made[0][0] == made[1][0]
    assert "NVCC_PREPEND_FLAGS names archs; they are left out" in made[1][1]
    with zipfile.ZipFile(io.BytesIO(made[0][0])) as wheel:
        library = next(wheel.read(name) for name in wheel.namelist() if name.endswith(".so"))
    assert b"tmpxft" not in library
    assert (b"sm_90" in library, b"sm_120" in library, b"sm_80" in library) == (True, True, False)
