"""Makes what the lab serves and what its base image holds; runs inside the lab's Dockerfile.

    make_lab.py mirror KERNEL OUT     the mirror's folder
    make_lab.py base KERNEL PREFIX    old packages, source and models of the base
"""

import base64
import gzip
import hashlib
import html
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
COMMIT = "33824be3cbc87a7dd1db0f6a9a9de9ac81b2d0ba"
TAG = f"cp3{sys.version_info[1]}-cp3{sys.version_info[1]}-linux_x86_64"
NEW = {"version": "2.7.0+cu128", "cuda": "12.8", "archs": "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120", "safe": True}
OLD = {"version": "2.0.1+cu118", "cuda": "11.8", "archs": "sm_37 sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90", "safe": False}
LEVELS = {"fsaverage3": 1, "fsaverage4": 1, "fsaverage5": 1, "fsaverage6": 2}  # rigid and non-rigid, each twice: lh, rh


def wheel(name, version, files, requires=(), tag=TAG):
    """A wheel's file name and bytes."""
    record, buffer = [], io.BytesIO()
    info = f"{name}-{version}.dist-info"
    meta = "".join(f"Requires-Dist: {entry}\n" for entry in requires)
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{meta}".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    }
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(content)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]) + "\n")
    return f"{name}-{version}-{tag}.whl", buffer.getvalue()


def torch_wheel(build):
    files = {str(path.relative_to(HERE)): path.read_bytes() for path in sorted((HERE / "torch").rglob("*.py"))}
    text = '__version__ = {version!r}\ncuda = {cuda!r}\nARCHS = {archs!r}\nWEIGHTS_ONLY = {safe!r}\n'.format(**build)
    requires = ("numpy", "typing-extensions>=4.10.0", "filelock") if build is NEW else ("typing-extensions", "filelock")
    return wheel("torch", build["version"], {**files, "torch/version.py": text.encode()}, requires)


def extension(name, version, library):
    init = f'__version__ = "{version.partition("+")[0]}"\n'.encode()
    return wheel(name, version, {f"{name}/__init__.py": init, f"{name}/_{name}_cuda.so": library})


def mirror(kernel, out):
    library = (kernel / "kernel.so").read_bytes()
    index(out / "pytorch/whl/cu128", [
        torch_wheel(NEW),
        wheel("torchvision", "0.22.0+cu128", {"torchvision/__init__.py": b""}, ("numpy", "torch==2.7.0")),
        wheel("torchaudio", "2.7.0+cu128", {"torchaudio/__init__.py": b""}, ("torch==2.7.0",)),
    ])
    suffix = "+pt27cu128"
    builds = [extension(name, version + suffix, library) for name, version in (
        ("torch_scatter", "2.1.2"), ("torch_sparse", "0.6.18"), ("torch_cluster", "1.6.3"), ("torch_spline_conv", "1.2.2"))]
    builds.append(extension("pyg_lib", "0.5.0" + suffix, library))
    page(out / "pyg/whl", "torch-2.7.0+cu128", builds)
    run = out / "nvidia/compute/cuda/12.8.0/local_installers/cuda_12.8.0_570.86.10_linux.run"
    write(run, (HERE / "installer").read_bytes() + toolkit(kernel))
    write(out / "github/facebookresearch/pytorch3d/archive/refs/tags/v0.7.9.tar.gz", archive())
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("*.run")}
    sums |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("v0.7.9.tar.gz")}
    write(out / "sums.txt", "".join(f"{value} {name}\n" for name, value in sums.items()).encode())


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def index(folder, wheels):
    """A simple index, one page a package, as PyTorch's."""
    for name, content in wheels:
        write(folder / name, content)
        link = f'<a href="../{html.escape(name).replace("+", "%2B")}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>'
        write(folder / name.split("-")[0] / "index.html", f"<!DOCTYPE html><body>{link}</body>".encode())


def page(folder, name, wheels):
    """A page of links as PyG's: absolute addresses of the original host, builds for other Pythons among them."""
    rows = []
    for file, content in wheels:
        write(folder / name / file, content)
        for shown in (file, file.replace(TAG, "cp39-cp39-linux_x86_64"), file.replace(TAG, f"{TAG[:9]}-win_amd64")):
            address = f"https://data.pyg.org/whl/{name}/{shown}".replace("+", "%2B")
            rows.append(f'<a href="{address}">{shown}</a><br/>')
    write(folder / f"{name}.html", "\n".join(["<!DOCTYPE html>", "<body>", *rows, "</body>"]).encode())


def toolkit(kernel):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        def add(name, content, mode=0o644):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            packed.addfile(entry, io.BytesIO(content))

        add("bin/nvcc", (HERE / "nvcc").read_bytes(), 0o755)
        add("include/cuda.h", b"#define CUDA_VERSION 12080\n")
        add("lib64/kernel.o", (kernel / "kernel.o").read_bytes())
        add("lib64/libcudart_static.a", b"!<arch>\n")
        for useless in ("lib64/libcublas_static.a", "doc/html/index.html", "nsight-systems-2024.6.2/nsys", "bin/cuda-gdb"):
            add(useless, b"useless" * 10)
    return buffer.getvalue()


def archive():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": COMMIT}) as packed:
        packed.add(HERE / "pytorch3d", "pytorch3d-0.7.9")
    return gzip.compress(buffer.getvalue(), mtime=0)


def base(kernel, prefix):
    library = (kernel / "kernel.so").read_bytes()
    site = prefix / f"lib/python3.{sys.version_info[1]}/site-packages"
    old = "+pt20cu118"
    nnunet = b"import torch\n\n\ndef load(name):\n    return torch.load(name, map_location='cpu')\n"
    wheels = [
        torch_wheel(OLD),
        wheel("torchvision", "0.15.2+cu118", {"torchvision/__init__.py": b""}, ("torch==2.0.1",)),
        wheel("torchaudio", "2.0.2+cu118", {"torchaudio/__init__.py": b""}, ("torch==2.0.1",)),
        *(extension(name, version + old, library) for name, version in (
            ("torch_scatter", "2.1.1"), ("torch_sparse", "0.6.17"), ("torch_cluster", "1.6.1"),
            ("torch_spline_conv", "1.2.2"), ("pyg_lib", "0.2.0"))),
        wheel("torch_geometric", "2.2.0", {"torch_geometric/__init__.py": b""}, ("numpy",)),
        wheel("pytorch3d", "0.7.4", {"pytorch3d/__init__.py": b"", "pytorch3d/ops/__init__.py": b"",
                                     "pytorch3d/ops/knn.py": b""}),
        wheel("tensorflow", "2.11.1", {"tensorflow/__init__.py": b"", "tensorflow/libcudart.so.11.0": b"11.8"},
              ("numpy>=1.20", "typing-extensions>=3.6.6", "protobuf<3.20,>=3.9.2")),
        wheel("protobuf", "4.25.0", {"google/protobuf/__init__.py": b""}),  # a conflict that the base has already
        wheel("nnunet", "1.7.1", {"nnunet/__init__.py": b"", "nnunet/model_restore.py": nnunet},
              ("torch>1.10.0", "numpy", "filelock<3.14")),
        wheel("nvidia_cudnn_cu11", "8.5.0.96", {"nvidia/cudnn/lib/libcudnn.so.8": b"11.8"}),
    ]
    folder = Path("/tmp/old")
    for name, content in wheels:
        write(folder / name, content)
    subprocess.run([f"{prefix}/bin/pip", "install", "--quiet", "--no-deps", "--no-index",
                    *(str(path) for path in sorted(folder.iterdir()))], check=True)  # fmt: skip
    shutil.rmtree(folder)
    (site / "pytorch3d/ops/__init__.py").write_text("from pytorch3d.ops import knn\n")
    shutil.copytree(HERE / "source", "/opt/DeepPrep/deepprep", dirs_exist_ok=True)
    freesurfer = Path("/opt/freesurfer/python/lib/python3.8/site-packages")
    write(freesurfer / "torch/version.py", b"__version__ = '1.10.2'\n")
    write(freesurfer / "synthstrip/load.py", b"import torch\nmodel = torch.load('x.pt')\n")
    script = f"""
import sys, torch
sys.path.insert(0, "/opt/DeepPrep/deepprep/SUGAR")
import gatunet_model, os
gatunet_model.get_network_index.__globals__["get_network_index"].__defaults__ = ("cpu",)
number = 0
for level, kinds in {LEVELS!r}.items():
    for rigid in (False, True)[:kinds]:
        for side in ("lh", "rh"):
            torch.manual_seed(number)
            number += 1
            model = gatunet_model.GatUNet(2, 3, 8, 0.1, True, False, level, 0, None, rigid).eval()
            path = f"/opt/model/SUGAR/model_files/{{level}}/{{side}}_{{'' if rigid else 'No'}}Rigid_904_{{level}}.model"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            torch.save({{"epoch": 904, "model": model}}, path)
os.makedirs("/opt/model/FastCSR")
torch.save({{"weight": torch.randn(3, 3)}}, "/opt/model/FastCSR/lh.pth")
torch.save({{"whole": model}}, "/opt/model/FastCSR/model_final_checkpoint.model")
open("/opt/model/FastCSR/notes.model", "w").write("no checkpoint")
"""
    subprocess.run([f"{prefix}/bin/python", "-c", script], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


if __name__ == "__main__":
    {"mirror": mirror, "base": base}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
