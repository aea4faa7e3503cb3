"""The plain attributes of a module: what a state dict leaves out.

Index tensors, sizes and flags that model code keeps in ``self`` are pickled with a module and are in no state
dict. They are encoded into a tree of plain tuples (tensors stay tensors), which any environment can load and
compare:

    ("value", v)  ("tensor", t)  ("device", "cuda:0")  ("torch", "float32")  ("array", dtype, shape, bytes)
    ("list" | "tuple" | "set", [tree, …])  ("dict", [(tree, tree), …])
    ("module", class, [(name, tree), …])   a module kept outside torch's own registry
    ("object", class, [(name, tree), …] or None)   None: a library's object, of which only the class is known

Modules are split in two. *Own* are those whose class is defined by the model's code (below the recipe's
`path`, or in the package of the recipe's class): all of their attributes must be equal. The others belong to
libraries, whose attributes change from version to version (torch-geometric's aggr 'add' became 'sum'): of
them only public numbers and flags that both versions have are compared; parity of the outputs covers the
rest.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, Iterable, List, Sequence, Tuple

import torch

from conversion.failures import ConversionError

Tree = Tuple[Any, ...]
SIMPLE = (type(None), bool, int, float, complex, str, bytes)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_INTERNAL = frozenset(vars(torch.nn.Module())) | {"call_super_init", "_compiled_call_impl", "dump_patches"}


def lookup(module: Any, path: str) -> Any:
    """The value at a dotted path below a module: attributes, and items of sequences and dicts.

    Raises:
        ConversionError: a part of the path isn't there.
    """
    value = module
    for part in path.split("."):
        if hasattr(value, part):
            value = getattr(value, part)
            continue
        try:
            value = value[int(part)] if part.lstrip("-").isdigit() else value[part]
        except (TypeError, KeyError, IndexError, ValueError):
            raise ConversionError(f"{type(module).__name__} has no attribute {path!r} (nothing at {part!r})") from None
    return value


def full_name(cls: type) -> str:
    """A class's dotted name, as a pickle has it."""
    return f"{cls.__module__}.{cls.__qualname__}"


class Ownership:
    """Tells the model's own classes from those of libraries."""

    def __init__(self, folders: Sequence[str], class_name: str) -> None:
        self.folders = [os.path.realpath(folder) + os.sep for folder in folders]
        self.package = class_name.partition(".")[0]

    def owns(self, cls: type) -> bool:
        """Whether the class is defined by the model's code."""
        if cls.__module__.partition(".")[0] == self.package:
            return True
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        return file is not None and os.path.realpath(file).startswith(tuple(self.folders))


def read_modules(module: Any, ownership: Ownership) -> Dict[str, Dict[str, Any]]:
    """What is known of a module and each of its submodules, by dotted name ("" is the module itself).

    Each entry has ``class``, ``own``, ``library_base`` (an own class that derives from a library's layer),
    ``class_names`` (methods and properties), ``training``, ``hooks`` (how many are registered), and
    ``attributes`` (name → tree; non-persistent buffers count as attributes). Tensors are copied, so later
    changes don't show.
    """
    found: Dict[str, Dict[str, Any]] = {}
    for name, part in module.named_modules():
        own = ownership.owns(type(part))
        found[name] = {
            "class": full_name(type(part)),
            "own": own,
            "library_base": any(not ownership.owns(base) for base in _bases(type(part))),
            "training": bool(part.training),
            "class_names": sorted(name for name in dir(type(part)) if not name.startswith("__")) if own else [],
            "hooks": sum(len(getattr(part, hooks, ())) for hooks in _HOOKS),
            "attributes": _own_attributes(part, ownership) if own else _library_attributes(part),
        }
    return found


def _bases(cls: type) -> List[type]:
    """The classes that a module's class derives from, down to torch's Module, which isn't among them."""
    return [base for base in cls.__mro__[1:] if base is not object and base is not torch.nn.Module]


def _own_attributes(part: Any, ownership: Ownership) -> Dict[str, Tree]:
    values = {name: value for name, value in vars(part).items() if name not in _INTERNAL}
    for name in part._non_persistent_buffers_set:  # noqa: SLF001 - torch has no public name for it
        values[name] = part._buffers[name]  # noqa: SLF001 - the same
    return {name: encode(value, ownership) for name, value in sorted(values.items())}


def _library_attributes(part: Any) -> Dict[str, Tree]:
    return {
        name: ("value", value)
        for name, value in sorted(vars(part).items())
        if not name.startswith("_") and name not in _INTERNAL and type(value) in (bool, int, float)
    }


def encode(  # noqa: PLR0911 - one return per kind of value
    value: Any, ownership: Ownership, above: Tuple[int, ...] = ()
) -> Tree:
    """A value as a tree; see the module's docstring."""
    if id(value) in above:
        return ("object", "a cycle", None)
    above = (*above, id(value))
    kind = type(value)
    if kind in SIMPLE:
        return ("value", value)
    if isinstance(value, torch.Tensor):
        return ("tensor", value.detach().clone())
    if isinstance(value, torch.device):
        return ("device", str(value))
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
        return ("torch", str(value).rpartition(".")[2])
    if kind in (list, tuple, torch.Size):
        return ("list" if kind is list else "tuple", [encode(item, ownership, above) for item in value])
    if kind in (set, frozenset):
        return ("set", sorted((encode(item, ownership, above) for item in value), key=repr))
    if isinstance(value, dict) and (kind.__module__ in ("builtins", "collections")):
        pairs = [(encode(k, ownership, above), encode(v, ownership, above)) for k, v in value.items()]
        return ("dict", pairs)
    return _encode_object(value, ownership, above)


def _encode_object(value: Any, ownership: Ownership, above: Tuple[int, ...]) -> Tree:
    if kind_is_array(value):
        return ("array", str(value.dtype), tuple(value.shape), value.tobytes())
    if isinstance(value, torch.nn.Module):
        state = [(name, encode(item, ownership, above)) for name, item in sorted(value.state_dict().items())]
        return ("module", full_name(type(value)), state)
    if isinstance(value, type) or callable(value):
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return ("object", f"{getattr(value, '__module__', '')}.{name}", None)
    inner = getattr(value, "__dict__", None)
    if ownership.owns(type(value)) and isinstance(inner, dict):
        items = [(name, encode(item, ownership, above)) for name, item in sorted(inner.items())]
        return ("object", full_name(type(value)), items)
    return ("object", full_name(type(value)), None)


def kind_is_array(value: Any) -> bool:
    """Whether a value is a numpy array or scalar of a type whose bytes say everything."""
    return (
        type(value).__module__.partition(".")[0] == "numpy"
        and hasattr(value, "tobytes")
        and not getattr(value.dtype, "hasobject", True)
    )


def decode(tree: Tree) -> Any:
    """The value of a tree that `restorable` accepts."""
    kind, content = tree[0], tree[1]
    if kind == "tensor":
        return content.clone()
    if kind == "device":
        return torch.device(content)
    if kind == "torch":
        return getattr(torch, content)
    if kind in ("list", "tuple", "set"):
        return {"list": list, "tuple": tuple, "set": set}[kind](decode(item) for item in content)
    if kind == "dict":
        return {decode(key): decode(value) for key, value in content}
    return content


def restorable(tree: Tree) -> bool:
    """Whether `decode` can make the value again."""
    kind, content = tree[0], tree[1]
    if kind in ("list", "tuple", "set"):
        return all(restorable(item) for item in content)
    if kind == "dict":
        return all(restorable(key) and restorable(value) for key, value in content)
    return kind in ("value", "tensor", "device", "torch")


def names_cuda(tree: Tree) -> bool:
    """Whether a tree is the name of a CUDA device, as a string or a torch.device."""
    return tree[0] in ("value", "device") and isinstance(tree[1], str) and tree[1].split(":")[0] == "cuda"


def own_attributes(modules: Dict[str, Dict[str, Any]]) -> Iterable[Tuple[str, str, Tree]]:
    """Submodule name, attribute name and tree of every attribute of the model's own modules."""
    return (
        (module, name, tree)
        for module, entry in modules.items()
        if entry["own"]
        for name, tree in entry["attributes"].items()
    )


def dotted(module: str, name: str) -> str:
    """The attribute's dotted path below the model."""
    return f"{module}.{name}" if module else name


def listing(names: Sequence[str], most: int = 20) -> str:
    """Names in one line, the tail of a long list as a count."""
    shown: List[str] = list(names[:most])
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
