"""What a module holds, by name: its attributes, parameters, buffers and submodules; torch's own are left out."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

import torch

from conversion.models.graph import Graph

REGISTRIES = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}
FULL_BACKWARD = "_is_full_backward_hook"  # of which kind a module's backward hooks are
# torch's own attributes of every module: those of this version, and those that others have.
INTERNAL = frozenset(vars(torch.nn.Module())) | frozenset(
    (
        "_backward_pre_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_forward_pre_hooks_with_kwargs",
        FULL_BACKWARD,
        "_load_state_dict_post_hooks",
        "_non_persistent_buffers_set",
        "_state_dict_pre_hooks",
        "_compiled_call_impl",
    )
)


class Held(NamedTuple):
    """What a module holds under a name: its kind (attribute, parameter, buffer, module) and the value."""

    kind: str
    value: Any


def namespace(module: Any) -> Dict[str, Held]:
    """What a module holds, by name; torch's own attributes are left out."""
    held = {name: Held("attribute", value) for name, value in vars(module).items() if name not in INTERNAL}
    for registry, kind in REGISTRIES.items():
        held.update({name: Held(kind, value) for name, value in vars(module).get(registry, {}).items()})
    return held


def references(graph: Graph, number: int) -> Dict[str, Held]:
    """The same of a node: by name the kind and the reference."""
    node = graph.nodes[number]
    found: Dict[str, Held] = {}
    for label, reference in zip(node.labels, node.references):
        name = label[1:]
        if name in REGISTRIES and isinstance(reference, int):
            registry = graph.nodes[reference]
            for key, value in zip(registry.labels, registry.references):
                found[key[2:-2]] = Held(REGISTRIES[name], value)
        elif label.startswith(".") and name not in INTERNAL:
            found[name] = Held("attribute", reference)
    return found
