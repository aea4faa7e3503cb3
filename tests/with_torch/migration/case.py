"""A case of the migration corpus: a file that the old environment makes, and what the new one must still find in it.

``make`` runs in the old environment, ``keep`` in the new one, on what a stock loader reads from the file that the
migration left: it knows nothing of the migration's own proof. Needs torch; runs on the frozen image's Python.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES: list[Case] = []
OUTCOMES = ("as it is", "carried", "constructed", "refused")

NET = """
import torch
from torch import nn

class Net(nn.Module):
    flavour = "plain"
    def __init__(self, width=4):
        super().__init__()
        self.width = width
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
    def forward(self, x):
        return self.second(torch.relu(self.first(x)))
    def other(self, x):
        return self.first(x) - 1
"""
GRAPH = """
import torch
from torch import nn
import torch_geometric.nn as tg

class Net(nn.Module):
    def __init__(self, conv=None, **others):
        super().__init__()
        self.conv = tg.GATv2Conv(4, 4, heads=2, concat=False) if conv is None else conv
        for name, value in others.items():
            setattr(self, name, value)
    def forward(self, x, edges):
        return self.conv(x, edges)
"""


def drawn(*shape: Any, **more: Any) -> dict[str, Any]:
    """An input of a probe."""
    return {"shape": list(shape), **more}


def calls(*inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A probe that calls the module once."""
    return {"seed": 904, "calls": [{"inputs": list(inputs)}], **more}


EDGES = drawn(2, 14, distribution="integers", low=0, high=6, dtype="int64")
ROWS = calls(drawn(3, 4))
ON_GRAPH = calls(drawn(6, 4), EDGES)


def numbers(shape: Any, index: int = 0) -> torch.Tensor:
    """Values that any version makes alike, other ones for each index."""
    count = 1
    for size in shape:
        count *= size
    values = torch.arange(count, dtype=torch.float32) * (index + 1) % 17
    return ((values + index) / 32 - 0.25).reshape(tuple(shape))


def filling(state: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each floating tensor of a state once, and values for it by its place; those of a variance are positive."""
    seen = set()
    for index, (name, value) in enumerate(sorted(state.items())):
        if not value.is_floating_point() or (value.data_ptr(), value.shape) in seen:
            continue
        seen.add((value.data_ptr(), value.shape))
        asked = numbers(value.shape, index).to(value.dtype)
        yield value, asked.abs() + 0.5 if "var" in name else asked


def fill(module: Any) -> Any:
    """Give each parameter and floating buffer values of its own, by its place among them."""
    with torch.no_grad():
        for value, asked in filling(module.state_dict()):
            value.copy_(asked)
    return module


def assert_filled(module: Any) -> None:
    """Hold that a module's state is what ``fill`` gave it."""
    state = module.state_dict()
    assert state
    for value, asked in filling(state):
        same(value, asked)


def same(found: Any, asked: Any) -> None:
    """Hold that two tensors are equal to the bit, in type, shape and class."""
    assert type(found).__name__ in ("Tensor", "Parameter"), type(found)
    assert found.dtype == asked.dtype, (found.dtype, asked.dtype)
    assert found.shape == asked.shape, (found.shape, asked.shape)
    assert torch.equal(found.detach(), asked.detach())


def slug_of(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


class Case:
    """One file; the class's docstring says in one line what it holds."""

    kind: ClassVar[str] = ""
    code: ClassVar[str] = NET
    later: ClassVar[str | None] = None  # the code that the new environment finds instead
    probe: ClassVar[dict[str, Any] | None] = None
    unprobed: ClassVar[str] = "the case is about what the file holds"
    construct: ClassVar[dict[str, Any]] = {}
    tolerance: ClassVar[dict[str, Any] | None] = None
    needs: ClassVar[tuple[str, ...]] = ()
    outcome: ClassVar[str] = "as it is"
    reason: ClassVar[str] = ""  # of a refusal: a part of its text
    note: ClassVar[str] = ""  # for the table: why this outcome
    file: ClassVar[str] = "model.pt"

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        if not abstract:
            CASES.append(cls())

    @property
    def name(self) -> str:
        return slug_of(type(self).__name__)

    @property
    def title(self) -> str:
        return (self.__doc__ or "").splitlines()[0].rstrip(".")

    def make(self, net: Any) -> Any:
        """What the file holds; ``net`` is the module of ``code``."""
        raise NotImplementedError

    def save(self, made: Any, path: Path) -> None:
        torch.save(made, path)

    def load(self, path: Path) -> Any:
        return torch.load(path, map_location="cpu", weights_only=False)

    def keep(self, found: Any, net: Any) -> None:
        """Assert what must have been kept."""
        raise NotImplementedError

    def possible(self) -> bool:
        """Whether this environment has what the case needs."""
        return all(importlib.util.find_spec(module) for module in self.needs)


class GraphCase(Case, abstract=True):
    """A case with layers of torch-geometric, which changed between the environments."""

    code = GRAPH
    probe: ClassVar[dict[str, Any] | None] = ON_GRAPH
    needs = ("torch_geometric",)
    outcome = "carried"


@contextmanager
def importing(folder: Path) -> Iterator[Any]:
    """The user's module ``net`` of a folder; forgotten afterwards, since each case has one of that name."""
    before = set(sys.modules)
    sys.corpus = True  # type: ignore[attr-defined] # the case whose code reads sys.argv does so elsewhere
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module("net")
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            found = getattr(sys.modules[name], "__file__", None)
            if found and Path(found).parent == folder:
                del sys.modules[name]


def module_of(found: Any) -> nn.Module:
    assert isinstance(found, nn.Module), type(found)
    return found
