"""Runs inside the demo's base image and writes what it finds as JSON: `python demo_base_checks.py OUT`."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

SUGAR = "/opt/DeepPrep/deepprep/SUGAR"
MODELS = Path("/opt/model/SUGAR/model_files")
PACKAGES = ("torch-geometric", "numpy", "pytorch3d", "torch-scatter", "torch-spline-conv")
COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "nvcc", "ld", "as", "cmake", "ninja", "make")
INDEXES = ("edges", "between")
NOT_KEPT = ("in_channels", "out_channels", "num_heads", "dropout", "ico_level")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def models() -> dict[str, Any]:
    return {str(path): one_model(path) for path in sorted(MODELS.glob("*/*.model"))}


def one_model(path: Path) -> dict[str, Any]:
    import torch
    from utils.icosphere import icosphere, level_number  # type: ignore[import-not-found]

    checkpoint = torch.load(str(path))
    model = checkpoint["model"]
    vertices, _, _ = icosphere(level_number(path.parent.name))
    made = sorted(name for name in ("theta_phi", "p_e") if isinstance(vars(model).get(name), torch.Tensor))
    torch.manual_seed(0)
    with torch.no_grad():
        moved, euler = model(torch.randn(len(vertices), 2), torch.from_numpy(100 * vertices).float())
    entries = [entry for name in INDEXES for entry in getattr(model, name)]
    tensors = [tensor for entry in entries for tensor in entry]
    return {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "keys": sorted(checkpoint),
        "rigid": model.rigid,
        "kept": sorted(name for name in NOT_KEPT if hasattr(model, name)),
        "made_in_forward": made,
        "modules": sorted(name for name, _ in model.named_children()),
        "function": getattr(model.activate_layer, "__name__", ""),
        "euler_scale": model.euler_scale,
        "moved": list(moved.shape),
        "euler": list(euler.shape),
        "largest_angle": float(euler.abs().max()),
        "devices": sorted({str(tensor.device) for tensor in [*tensors, *model.state_dict().values()]}),
        "entries": sorted({type(entry).__name__ for entry in entries}),
        "index_tensors": len(tensors),
        "state": list(model.state_dict()),
        "names_lazy_load_hook": names(path, b"_lazy_load_hook"),
    }


def names(path: Path, word: bytes) -> bool:
    with zipfile.ZipFile(path) as archive:
        pickle = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        return word in archive.read(pickle)


def construction() -> str:
    from gatunet_model import GatUNet  # type: ignore[import-not-found]

    try:
        GatUNet(2, 3, 4, 0.0, True, True, "fsaverage3", 0.0, 0.1, False)
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"
    return "it was constructed"


def conflicts() -> list[str]:
    answer = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    return answer.stdout.strip().splitlines()


def leftovers() -> list[str]:
    found = [
        str(path)
        for path in (Path("/wheels"), Path("/context"), Path("/opt/uv"), Path("/root/.cache"))
        if path.exists()
    ]
    for folder in ("/tmp", "/var/lib/apt/lists", "/var/cache/apt/archives"):
        found += [str(path) for path in Path(folder).rglob("*.*")]
    found += [str(path) for path in Path("/opt/conda").rglob("*.whl") if "ensurepip" not in path.parts]
    return sorted(found)


def certificates(text: str) -> set[str]:
    """The certificates of a PEM text, as their base64 bodies without line ends."""
    parts = text.split("-----BEGIN CERTIFICATE-----")[1:]
    return {"".join(part.split("-----END CERTIFICATE-----")[0].split()) for part in parts}


def foreign_cas() -> list[str]:
    shipped: set[str] = set()
    for path in Path("/usr/share/ca-certificates").rglob("*.crt"):
        shipped |= certificates(path.read_text())
    trusted: set[str] = set()
    for path in [
        BUNDLE,
        *Path("/usr/local/share/ca-certificates").rglob("*.crt"),
        *Path("/etc/ssl/certs").glob("*.pem"),
    ]:
        trusted |= certificates(path.read_text())
    return sorted(trusted - shipped)


def main(out: str) -> None:
    sys.path.insert(0, SUGAR)
    found_before = {"leftovers": leftovers(), "foreign_cas": foreign_cas()}
    import torch

    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    found = {
        **found_before,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, **versions},
        "models": models(),
        "construction": construction(),
        "conflicts": conflicts(),
        "compilers": [name for name in COMPILERS if shutil.which(name)],
    }
    Path(out).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
