"""Places of an object graph, found in one order each time, that a mutation can be made at.

Knows nothing of the migration's own walk: a place that its proof forgets is to be found here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

OF_MODULES = (
    "training",
    "_parameters",
    "_buffers",
    "_modules",
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_non_persistent_buffers_set",
)
PLAIN = (bool, int, float, str, bytes, type(None))
AT_MOST = 4000  # places of one file


class Step(NamedTuple):
    how: str  # attribute, slot, item, index
    key: Any


Path = tuple[Step, ...]


def get(value: Any, step: Step) -> Any:
    if step.how == "attribute":
        return value.__dict__[step.key]
    if step.how == "slot":
        return object.__getattribute__(value, step.key)
    return list.__getitem__(value, step.key) if isinstance(value, list) else value[step.key]


def resolve(root: Any, path: Path) -> Any:
    for step in path:
        root = get(root, step)
    return root


def put(root: Any, path: Path, value: Any) -> Any:
    """Put a value at a place; returns the root, another one where that is a tuple or the place itself."""
    if not path:
        return value
    *above, step = path
    parent = resolve(root, tuple(above))
    if step.how == "attribute":
        parent.__dict__[step.key] = value
    elif step.how == "slot":
        object.__setattr__(parent, step.key, value)
    elif isinstance(parent, tuple):
        items = [*parent[: step.key], value, *parent[step.key + 1 :]]
        changed = type(parent)(*items) if hasattr(parent, "_fields") else type(parent)(items)
        return put(root, tuple(above), changed)
    elif isinstance(parent, dict):
        dict.__setitem__(parent, step.key, value)
    else:
        list.__setitem__(parent, step.key, value)
    return root


def of_library(value: Any) -> bool:
    return type(value).__module__.startswith(("torch_geometric.", "torch."))


def attributes(value: Any) -> list[str]:
    """The attributes of an object that say something of it; a library's private ones are its own business."""
    names = list(getattr(value, "__dict__", ()))
    if isinstance(value, nn.Module):
        names = [name for name in names if name in OF_MODULES or not name.startswith("_")]
    elif isinstance(value, torch.optim.Optimizer):
        names = [name for name in names if name in {"state", "param_groups"}]
    elif of_library(value) and not type(value).__module__.startswith("torch_geometric.data"):
        names = [name for name in names if not name.startswith("_")]
    return [name for name in names if name not in {"inspector", "__orig_class__"}]  # typing's, cached by it


def slots(value: Any) -> list[str]:
    names = [name for cls in type(value).__mro__ for name in cls.__dict__.get("__slots__", ())]
    return [name for name in names if name not in {"__dict__", "__weakref__"} and hasattr(value, name)]


def steps(value: Any) -> list[Step]:
    """Where one gets from a value."""
    if isinstance(value, (*PLAIN, torch.Tensor, type, np.ndarray, np.generic)) and type(value) in PLAIN:
        return []
    if isinstance(value, (torch.Tensor, type, np.ndarray, np.generic)) or (
        callable(value) and not hasattr(value, "__dict__")
    ):
        return []
    if type(value).__name__ in {"function", "builtin_function_or_method", "method", "module", "partial"}:
        return []
    found = [Step("attribute", name) for name in attributes(value)]
    if not of_library(value) and not isinstance(value, (dict, list, tuple, set, frozenset)):
        found += [Step("slot", name) for name in slots(value)]
    if isinstance(value, dict):
        found += [Step("item", key) for key in value if isinstance(key, (str, int)) or key is None]
    elif isinstance(value, (list, tuple)) and type(value).__module__ != "torch":
        found += [Step("index", index) for index in range(min(len(value), 50))]
    return found


def places(root: Any) -> tuple[list[Path], dict[int, list[Path]]]:
    """All places, each object entered once; and the places of every object that is held at several."""
    found: list[Path] = []
    held: dict[int, list[Path]] = {}
    entered: set[int] = set()
    todo: list[tuple[Path, Any]] = [((), root)]
    while todo and len(found) < AT_MOST:
        path, value = todo.pop()
        if len(path) > 60:
            continue
        found.append(path)
        if type(value) not in PLAIN:
            held.setdefault(id(value), []).append(path)
            if id(value) in entered:
                continue
            entered.add(id(value))
        todo += [((*path, step), get(value, step)) for step in reversed(steps(value))]
    return found, {key: paths for key, paths in held.items() if len(paths) > 1}


def shown(path: Path) -> str:
    marks = {"attribute": ".{}", "slot": ".{}", "item": "[{!r}]", "index": "[{}]"}
    return "root" + "".join(marks[step.how].format(step.key) for step in path)


def described(value: Any, depth: int = 4) -> Any:
    """What a stock load shows of a value: enough to tell a mutation from none."""
    kind = type(value).__qualname__
    if type(value) in PLAIN or isinstance(value, (type, np.generic)) or torch.nn.parameter.is_lazy(value):
        return kind, repr(value)
    if isinstance(value, torch.Tensor):
        plain = value.layout is torch.strided
        stored = bytes(value.untyped_storage()) if plain else repr(value.to_dense())
        more = (value.stride(), value.storage_offset()) if plain else ()
        return kind, value.dtype, tuple(value.shape), value.requires_grad, stored, more
    if isinstance(value, np.ndarray):
        return kind, value.dtype.str, value.shape, value.strides, repr(value)
    if not depth:
        return kind
    if isinstance(value, (set, frozenset)):
        return kind, len(value), sorted(map(str, map(type, value)))
    children = [(step, described(get(value, step), depth - 1)) for step in steps(value)]
    return (
        (kind, children) if children or hasattr(value, "__len__") or hasattr(value, "__dict__") else (kind, repr(value))
    )
