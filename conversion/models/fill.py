"""Gives objects that come as pickle brings them what their new classes make and they lack.

Torch's own modules, and objects of changed libraries that are no modules (a library's modules are made anew). What such
an object lacks is told by one that its constructor makes; nothing that it has is changed.
"""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Optional, Set, Tuple

import torch

from conversion.models import arguments, fresh
from conversion.models.graph import record, tensors
from conversion.models.held import namespace
from conversion.models.objects import type_name


def fill(checkpoint: Any, changed: Collection[str], *, torch_changed: bool) -> Dict[str, int]:
    """Fill in all that a checkpoint's objects lack; returns "class.attribute" -> how often.

    Args:
        checkpoint: what a file holds. changed: top-level modules of libraries that changed.
        torch_changed: whether torch's own modules may lack attributes.
    """
    filled: Dict[str, int] = {}
    complete: Set[Tuple[type, frozenset[str]]] = set()
    for item in record(checkpoint, hashed=False).objects:
        base = _made_by(item, changed, torch_changed=torch_changed)
        key = (type(item), frozenset(namespace(item))) if base is not None else None
        if base is None or key is None or key in complete:
            continue
        lacking = _fill_one(item, base)
        if not lacking:
            complete.add(key)
        for name in lacking:
            where = f"{type_name(type(item))}.{name}"
            filled[where] = filled.get(where, 0) + 1
    return filled


def _made_by(item: Any, changed: Collection[str], *, torch_changed: bool) -> Optional[type]:
    """The class whose constructor tells what an object lacks; None where nothing does."""
    if not isinstance(item, torch.nn.Module):
        return type(item) if fresh.top(type(item)) in changed and hasattr(item, "__dict__") else None
    if isinstance(item, torch.jit.ScriptModule) or not torch_changed:
        return None
    base = next(base for base in type(item).__mro__ if base.__module__.startswith("torch."))
    return None if base is torch.nn.Module else base


def _fill_one(item: Any, base: type) -> List[str]:
    """Fill in what one object lacks; returns the names."""
    try:
        with torch.device("meta"):
            made = fresh.fresh(item, base, arguments.infer(item, base, {}))
    except Exception:  # noqa: BLE001 - it can't be told what is lacking; the probe shows whether it matters
        return []
    held = namespace(item)
    lacking = {
        name: value
        for name, (kind, value) in namespace(made).items()
        if name not in held and not hasattr(type(item), name) and kind == "attribute" and not tensors(value)
    }
    item.__dict__.update(lacking)
    return list(lacking)
