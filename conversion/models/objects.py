"""How one object is taken apart: its kind, what it holds itself, and what it refers to, by label.

No method of the model's code runs, but for an own ``__reduce__``, which unpickling depends on anyway, and for what
pickle asks of objects that hold nothing which Python can see.
"""

from __future__ import annotations

import copyreg
import ctypes
import enum
import hashlib
import pathlib
import types
import weakref
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import torch

Children = List[Tuple[str, Any]]
_SHORT = 64
_ENOUGH = 1000  # of what an element of a set holds, to tell it from the others
UNTYPED: Any = getattr(torch, "UntypedStorage", None) or getattr(torch, "_UntypedStorage", None)
UNTYPED = UNTYPED or getattr(torch._C, "StorageBase", ())  # noqa: SLF001 - torch before 1.11
_TYPED: Any = getattr(torch, "TypedStorage", None) or getattr(torch.storage, "_TypedStorage", None) or ()
_ALIASES = tuple(getattr(types, name) for name in ("GenericAlias", "UnionType") if hasattr(types, name))
_LAZY: Any = getattr(torch.nn.parameter, "UninitializedTensorMixin", ())  # since torch 1.8
_TORCH_NAMED = (torch.dtype, torch.layout, torch.memory_format, torch.qscheme)


def type_name(cls: type) -> str:
    """A class's dotted name, as a pickle has it."""
    return f"{cls.__module__}.{cls.__qualname__}"


def as_atom(item: Any) -> Optional[List[Any]]:  # noqa: PLR0911 - one return per kind
    """An atom's reference, or None for what becomes a node."""
    kind = type(item)
    if item is None or kind in (bool, str):
        return [kind.__name__, item]
    if kind in (int, complex):
        return [kind.__name__, repr(item)]
    if kind is float:
        return ["float", item.hex() if item == item else "nan"]  # noqa: PLR0124 - not for NaN
    if kind is bytes:
        return ["bytes", item.hex() if len(item) <= _SHORT else hashlib.sha256(item).hexdigest()]
    if isinstance(item, type):
        return ["class", type_name(item)]
    if kind is types.FunctionType or (kind is types.BuiltinFunctionType and _is_plain(item)):
        return ["function", f"{item.__module__}.{item.__qualname__}"]
    if isinstance(item, types.ModuleType):
        return ["module", item.__name__]
    if isinstance(item, _TORCH_NAMED):
        return ["torch", str(item)]
    if isinstance(item, torch.device):
        return ["device", str(item)]
    if kind.__module__ == "typing" or kind in _ALIASES:  # Python keeps these in caches of its own
        return ["annotation", f"{item!r} of {getattr(item, '__module__', None)!r}"]
    if item is Ellipsis or item is NotImplemented:
        return ["constant", repr(item)]
    return None


def _is_plain(function: Any) -> bool:
    return function.__self__ is None or isinstance(function.__self__, (types.ModuleType, type))


def describe(item: Any, hashed: bool) -> Tuple[str, Any, Children]:  # noqa: PLR0911 - one return per kind
    """An object's kind, what it holds itself, and what it refers to."""
    if isinstance(item, torch.Tensor):
        return ("tensor", *_tensor(item))
    if isinstance(item, UNTYPED):
        return "storage", _storage_value(item, hashed), []
    if isinstance(item, _TYPED):
        return "typed storage", str(item.dtype), [(".untyped", untyped(item))]
    if isinstance(item, torch.jit.ScriptModule):
        return "script", None, [*_named(item.named_parameters()), *_named(item.named_buffers())]
    if isinstance(item, weakref.ref):
        return "object", None, [(".referent", item())]
    if isinstance(item, torch.utils.hooks.RemovableHandle):  # by weak references: to the hooks, and to flags of theirs
        return "object", item.id, [(".hooks", item.hooks_dict_ref())]
    if isinstance(item, (types.MethodType, types.BuiltinMethodType)):
        return "method", item.__name__, [(".__self__", item.__self__)]
    if type(item).__module__.partition(".")[0] == "numpy" or hasattr(type(item), "__array_finalize__"):
        described = _numpy(item)
        if described is not None:
            return described
    kind, value, content = _content(item)
    try:
        return kind, value, [*content, *_attributes(item), *_reduced(item)]
    except Exception as error:  # noqa: BLE001 - what can't be taken apart is said to be so
        return "opaque", f"{type(error).__name__}: {error}", []


_WRITTEN = (bool, int, float, complex, str, bytes, type(None), type)


def _content(item: Any) -> Tuple[str, Any, Children]:  # noqa: PLR0911 - one return per kind
    """What an object holds as a container or as a number of Python's, by the built-in type that it is made from."""
    if isinstance(item, enum.Enum):
        return "scalar", item.name, []
    if isinstance(item, dict):
        children: Children = []
        for place, (key, value) in enumerate(dict.items(item)):
            atom = as_atom(key)
            if atom is None:
                children.append((f"(key {place})", key))
                children.append((f"(value {place})", value))
            else:
                children.append((f"[{key!r}]" if isinstance(key, _WRITTEN) else f"[{atom[1]}]", value))
        return "dict", None, children
    builtin: Any
    for builtin in (list, tuple):
        if isinstance(item, builtin):
            return builtin.__name__, None, [(f"[{place}]", part) for place, part in enumerate(builtin.__iter__(item))]
    for builtin in (set, frozenset):
        if isinstance(item, builtin):
            parts = sorted(builtin.__iter__(item), key=_order)
            return builtin.__name__, None, [(f"{{{place}}}", part) for place, part in enumerate(parts)]
    for simple, plain in _PLAIN.items():
        if isinstance(item, simple):
            return "scalar", as_atom(plain(item)), []
    if isinstance(item, bytearray):
        return "object", as_atom(bytes(item)), []
    return "object", None, []


# The value of an instance of a class that derives from a built-in one; no method of that class runs.
_PLAIN: Dict[type, Any] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__pos__,
    str: lambda item: str.__getitem__(item, slice(None)),
    bytes: lambda item: bytes.__getitem__(item, slice(None)),
}


def _order(item: Any, room: Optional[List[int]] = None) -> str:
    """A place for an element of a set: by what it is and holds, never by where it lies."""
    atom = as_atom(item)
    if atom is not None:
        return repr(atom)
    room = room if room is not None else [_ENOUGH]
    if room[0] <= 0:
        return ""
    kind, value, children = describe(item, hashed=True)
    room[0] -= 1 + len(children)
    return f"{type_name(type(item))} {kind} {value} {[(label, _order(child, room)) for label, child in children]}"


def _attributes(item: Any) -> Iterator[Tuple[str, Any]]:
    """Instance attributes: of ``__dict__`` and of slots."""
    if isinstance(item, pathlib.PurePath):  # hash and text, once they were asked for; what it is, pickle is told
        return
    try:
        own = object.__getattribute__(item, "__dict__")
    except AttributeError:
        own = {}
    for name, value in own.items():
        yield f".{name}", value
    for cls in type(item).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            name = f"_{cls.__name__.lstrip('_')}{slot}" if slot.startswith("__") and not slot.endswith("__") else slot
            if name not in ("__dict__", "__weakref__"):
                try:
                    yield f".{name}", object.__getattribute__(item, name)
                except AttributeError:
                    continue


def has_own_reduce(cls: type) -> bool:
    """Whether a class says itself how it is pickled."""
    own: Any = (cls.__reduce_ex__, cls.__reduce__)
    return own != (object.__reduce_ex__, object.__reduce__) or cls in copyreg.dispatch_table


def _is_closed(item: Any) -> bool:
    """Whether an object has neither a ``__dict__`` nor slots: what it holds, if anything, lies in memory of C's."""
    cls = type(item)
    return not cls.__dictoffset__ and not any(base.__dict__.get("__slots__") for base in cls.__mro__)


def _reduced(item: Any) -> Children:
    """What an object's own way of being pickled hands over."""
    cls = type(item)
    asked = has_own_reduce(cls) or _is_closed(item)
    if not asked or isinstance(item, (dict, list, tuple, set, frozenset, enum.Enum, torch.nn.Module)):
        factory = getattr(item, "default_factory", None) if isinstance(item, dict) else None
        return [] if factory is None else [(".default_factory", factory)]
    reducer = copyreg.dispatch_table.get(cls)
    taken = reducer(item) if reducer else item.__reduce_ex__(2)
    if isinstance(taken, str):
        return [("(name)", taken)]
    parts = list(taken)
    for place in (3, 4):
        if len(parts) > place and parts[place] is not None:
            parts[place] = list(parts[place])
    names = ("(maker)", "(arguments)", "(state)", "(items)", "(pairs)")
    return [(name, part) for name, part in zip(names, parts) if part is not None]


def _named(pairs: Any) -> Children:
    return [(f".{name}", value) for name, value in pairs]


def _tensor(item: Any) -> Tuple[Any, Children]:
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - subclasses must not see what is asked here
        lazy = isinstance(item, _LAZY)
        value: Dict[str, Any] = {
            "dtype": str(item.dtype),
            "shape": "not known yet" if lazy else list(item.shape),
            "layout": str(item.layout),
            "requires_grad": bool(item.requires_grad),
            "flags": [bool(getattr(item, flag, bool)()) for flag in ("is_conj", "is_neg")],
        }
        children: Children = [(f".{name}", content) for name, content in vars(item).items()]
        if item._backward_hooks:  # noqa: SLF001 - torch has no public name for it
            children.append(("._backward_hooks", item._backward_hooks))  # noqa: SLF001 - the same
        if item.is_quantized:
            value["quantized"] = str(item.qscheme())
            children += _quantized(item)
        if item.layout is torch.sparse_coo:
            value["coalesced"] = bool(item.is_coalesced())
            return value, [*children, (".indices", item._indices()), (".values", item._values())]  # noqa: SLF001 - as they are
        if item.layout is not torch.strided:
            parts = ("crow_indices", "col_indices", "ccol_indices", "row_indices", "values")
            return value, [*children, *_parts(item, parts)]
        if not lazy:
            value["stride"], value["offset"] = list(item.stride()), int(item.storage_offset())
        if lazy or item.device.type == "meta":
            return value, children
        return value, [*children, (".storage", untyped(item))]


def _parts(item: Any, names: Sequence[str]) -> Iterator[Tuple[str, Any]]:
    for name in names:
        try:
            yield f".{name}", getattr(item, name)()
        except (RuntimeError, AttributeError):  # this layout has no such part
            continue


def _quantized(item: Any) -> Children:
    if "per_channel" in str(item.qscheme()):
        return [
            (".scales", item.q_per_channel_scales()),
            (".zero_points", item.q_per_channel_zero_points()),
            (".axis", item.q_per_channel_axis()),
        ]
    return [(".scale", item.q_scale()), (".zero_point", item.q_zero_point())]


def untyped(item: Any) -> Any:
    """The storage without a type of a tensor or of a typed storage."""
    if hasattr(item, "untyped_storage"):
        return item.untyped_storage()
    if hasattr(item, "untyped"):
        return item.untyped()
    storage = item.storage() if isinstance(item, torch.Tensor) else item
    if hasattr(storage, "_untyped"):
        return storage._untyped()  # noqa: SLF001 - torch before 2.0
    return getattr(storage, "_storage", storage)  # torch before 1.12, and before 1.11


def _storage_value(storage: Any, hashed: bool) -> List[Any]:
    size = int(storage.nbytes())
    if not hashed:
        return [size]
    if size == 0:
        return [0, ""]
    content = (ctypes.c_char * size).from_address(storage.data_ptr())
    return [size, hashlib.sha256(content).hexdigest()]


def _numpy(item: Any) -> Optional[Tuple[str, Any, Children]]:
    import numpy as np  # noqa: PLC0415 - may be absent, though not where there is an object of it

    if isinstance(item, np.dtype):
        return "scalar", repr(item), []
    if isinstance(item, np.generic) and not item.dtype.hasobject:
        return "scalar", [str(item.dtype.descr), item.tobytes().hex()], []
    if isinstance(item, np.ndarray):
        plain = item.view(np.ndarray)  # also what a mask hides
        order = "F" if item.flags.f_contiguous and not item.flags.c_contiguous else "C"
        value = [str(item.dtype.descr), list(item.shape), order, bool(item.flags.writeable)]
        if item.dtype.hasobject:
            parts = [(f"[{place}]", part) for place, part in enumerate(plain.ravel().tolist())]
            return "array", value, [*parts, *_attributes(item)]
        return "array", [*value, hashlib.sha256(plain.tobytes()).hexdigest()], list(_attributes(item))
    return None
