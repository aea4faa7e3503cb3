"""Small models of every awkward kind, with the folders that extracting and rebuilding them needs."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

import torch

from conversion import extract, models, rebuild

CODE = """
import collections
import torch
import absent_library.part as part
from absent_library.deep import thing, Base
from shapes import index_of, Helper

class Derived(Base):
    pass

class Layer(torch.nn.Linear):
    def __init__(self, width):
        super().__init__(width, width)
        self.own = torch.arange(width)

class Net(torch.nn.Module):
    def __init__(self, width, depth=2, *, dropout=0.0, flavour="plain"):
        super().__init__()
        self.width, self.depth, self.flavour = width, depth, flavour
        self.drop = torch.nn.Dropout(dropout)
        self.layers = torch.nn.ModuleList([Layer(width) for _ in range(depth)])
        self.norm = torch.nn.BatchNorm1d(width)
        self.index = index_of(width)
        self.pools = [index_of(width), {"up": (index_of(2), None)}]
        self.helper = Helper(width)
        self.register_buffer("mask", torch.ones(width), persistent=False)
        self.epoch = 0
        self.device = "cuda"
    def forward(self, x, scale=None):
        for layer in self.layers:
            x = torch.relu(layer(x))[:, self.index]
        return {"out": self.norm(x) * self.mask.to(self.device), "more": [x.sum(1)]}
"""
SHAPES = """
import torch
def index_of(n, device="cuda"):
    return torch.arange(n - 1, -1, -1, device=device)
class Helper:
    def __init__(self, n):
        self.table = torch.eye(n)
"""


def write_code(folder: Path) -> Path:
    """Write the models' code, and a library that is gone when they are rebuilt."""
    folder.mkdir()
    (folder / "net.py").write_text(CODE)
    (folder / "shapes.py").write_text(SHAPES)
    library = folder / "absent_library"
    library.mkdir()
    (library / "__init__.py").write_text("")
    (library / "part.py").write_text("")
    (library / "deep.py").write_text("class Base: pass\ndef thing(): pass\n")
    return folder


def spec_of(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    entry = {
        "name": "nets",
        "files": [f"{tmp_path}/models/*.pt"],
        "path": [f"{tmp_path}/code"],
        "class": "net.Net",
        "key": "model",
        "constructor": {"dropout": {"attribute": "drop.p"}},
        "stubs": ["absent_library"],
        "cpu_defaults": ["shapes"],
        "probe": {
            "seed": 1,
            "sizes": {"rows": 5, "width": {"attribute": "width"}},
            "inputs": [{"name": "x", "shape": ["rows", "width"], "distribution": "uniform", "scale": 3}],
        },
        **changes,
    }
    return {"sets": [entry]}


class Case:
    """One model file, extracted and rebuilt."""

    def __init__(self, tmp_path: Path, code: Path) -> None:
        self.folder, self.code = tmp_path, code
        self.file = tmp_path / "models" / "a.pt"
        self.file.parent.mkdir()

    def make(
        self,
        change: Callable[[Any], object] = lambda _net: None,
        around: Callable[[Any], object] = lambda net: {"epoch": 7, "model": net, "best": 0.5},
        **arguments: Any,
    ) -> None:
        """Pickle a model as a run in the old environment left it."""
        before = set(sys.modules)
        sys.path.insert(0, str(self.code))
        try:
            net = importlib.import_module("net")
            shapes: Any = importlib.import_module("shapes")

            shapes.index_of.__defaults__ = ("cpu",)
            torch.manual_seed(3)
            made = net.Net(**{"width": 4, "dropout": 0.25, **arguments})
            for value in made.parameters():
                torch.nn.init.uniform_(value, -1, 1)
            made.device = "cuda:0"
            change(made)
            torch.save(around(made), self.file)
        finally:
            sys.path.remove(str(self.code))
            for name in set(sys.modules) - before:
                if name.split(".")[0] in ("net", "shapes", "absent_library"):
                    del sys.modules[name]
        self.file.chmod(0o640)

    def extract(self, **changes: Any) -> int:
        return extract.extract(models.parse(spec_of(self.folder, **changes)), self.folder / "x")

    def rebuild(self, **changes: Any) -> int:
        """Rebuild where the library is really gone."""
        library = self.code / "absent_library"
        if library.exists():
            library.rename(self.folder / "gone")
        specs = models.parse(spec_of(self.folder, **changes))
        return rebuild.rebuild(specs, self.folder / "x", self.folder / "out", self.folder / "parity.json")

    @property
    def rebuilt(self) -> Path:
        return self.folder / "out" / str(self.file).lstrip("/")


def edit(case: Case, old: str, new: str, file: str = "net.py") -> None:
    path = case.code / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
