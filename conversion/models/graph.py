"""The object graph of a loaded checkpoint as plain data, which any environment can read and compare.

Every object that is reached becomes a node: its kind, its class by name, what it holds itself (a tensor's shape and
strides, the hash of a storage's bytes), and its references. Atoms (numbers, strings, classes, functions) stand in the
references themselves. Objects are told apart by identity: what is one object, or shares a storage, is one node. No
method of the model's code runs, but for an own ``__reduce__``, which unpickling depends on anyway, and for what pickle
asks of objects that hold nothing which Python can see.

A reference is the number of a node, or a list ``[kind, text]`` for an atom.
"""

from __future__ import annotations

import collections
import copyreg
import ctypes
import enum
import hashlib
import pathlib
import re
import types
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

import torch

Reference = Union[int, List[Any]]
Children = List[Tuple[str, Any]]

# Objects of these kinds have no identity that anybody could notice: Python shares and copies them as it likes.
WITHOUT_IDENTITY = frozenset(("tuple", "frozenset", "method", "scalar"))
_SHORT = 64
_ENOUGH = 1000  # of what an element of a set holds, to tell it from the others
_PLAIN_ATTRIBUTE = re.compile(r"\._(?:modules|parameters|buffers)\['((?:[^'\\]|\\.)*)'\]")


@dataclass
class Node:
    """One object.

    Attributes:
        kind: tensor, storage, list, tuple, set, frozenset, dict, array, scalar, method, script, opaque or object.
        type: the class's dotted name.
        value: what the object holds itself, as JSON has it.
        labels: how each reference is reached, as Python writes it (".name", "[0]", "['key']").
        references: to what.
        parent: the node by which it was found first, and the place there; None for the root.
    """

    kind: str
    type: str
    value: Any = None
    labels: List[str] = field(default_factory=list)
    references: List[Reference] = field(default_factory=list)
    parent: Optional[Tuple[int, str]] = None


class Graph:
    """Nodes in the order in which they were found; the first is the root. ``objects`` are theirs, where live."""

    def __init__(self, root: Reference, nodes: List[Node], objects: Sequence[Any] = ()) -> None:
        self.root = root
        self.nodes = nodes
        self.objects = objects
        self.numbers = {id(item): number for number, item in enumerate(objects)}

    def path(self, number: int) -> str:
        """How a node is reached, as Python would write it behind the checkpoint's name."""
        parts: List[str] = []
        parent = self.nodes[number].parent
        while parent is not None:
            parts.append(parent[1])
            parent = self.nodes[parent[0]].parent
        return shown("".join(reversed(parts)))

    def count(self, *kinds: str) -> int:
        """How many nodes are of these kinds; all of them where none is given."""
        return sum(1 for node in self.nodes if not kinds or node.kind in kinds)

    def reached(self, number: int) -> Set[int]:
        """The other nodes that a node's references lead to."""
        seen: Set[int] = set()
        waiting = [number]
        while waiting:
            for reference in self.nodes[waiting.pop()].references:
                if isinstance(reference, int) and reference not in seen and reference != number:
                    seen.add(reference)
                    waiting.append(reference)
        return seen

    def to_json(self) -> Dict[str, Any]:
        """The graph as a document."""
        return {"root": self.root, "nodes": [list(vars(node).values()) for node in self.nodes]}

    @staticmethod
    def from_json(document: Dict[str, Any]) -> Graph:
        """The graph of such a document."""
        return Graph(document["root"], [Node(*values) for values in document["nodes"]])


def shown(path: str) -> str:
    """A path with torch's registries left out: ``._modules['conv']._parameters['bias']`` is ``.conv.bias``."""
    return _PLAIN_ATTRIBUTE.sub(lambda match: "." + match.group(1), path) or "(the file)"


def type_name(cls: type) -> str:
    """A class's dotted name, as a pickle has it."""
    return f"{cls.__module__}.{cls.__qualname__}"


def record(root: Any, *, hashed: bool = True, places: Optional[Places] = None) -> Graph:
    """The graph of an object; without `hashed`, storages are told apart but their bytes are not read.

    Args:
        places: where the file wants its storages, if that is to be recorded.
    """
    return _Recorder(hashed, places or Places()).graph(root)


class Places:
    """Where a file wants its storages, such as "cuda:0"; here every one is on the CPU."""

    def __init__(self) -> None:
        self._known: Dict[int, Tuple[Any, str]] = {}  # the storage too: its number counts only as long as it is alive

    def add(self, storage: Any, place: str) -> None:
        """Remember one; the CPU goes without saying."""
        if place != "cpu":
            self._known[untyped(storage)._cdata] = (storage, place)  # noqa: SLF001 - its wrappers differ

    def of(self, storage: Any) -> Optional[str]:
        """The place of a storage, None for the CPU."""
        return self._known.get(untyped(storage)._cdata, (None, None))[1]  # noqa: SLF001 - the same


def tensors(root: Any) -> List[Any]:
    """Every tensor that is reached from an object, each once."""
    return [item for item in record(root, hashed=False).objects if isinstance(item, torch.Tensor)]


def outermost_modules(root: Any) -> List[Tuple[str, Any]]:
    """The modules that no other module of the checkpoint reaches, each with its path ("" where it is the root)."""
    graph = record(root, hashed=False)
    modules = [number for number, item in enumerate(graph.objects) if isinstance(item, torch.nn.Module)]
    found: List[int] = []
    inside: Set[int] = set()
    for number in modules:
        if number not in inside:
            reached = graph.reached(number)
            inside |= reached
            found = [other for other in found if other not in reached] + [number]
    return [("" if number == graph.root else graph.path(number), graph.objects[number]) for number in found]


class _Recorder:
    def __init__(self, hashed: bool, places: Places) -> None:
        self._hashed = hashed
        self._places = places
        self._numbers: Dict[Any, int] = {}
        self._nodes: List[Node] = []
        self._objects: List[Any] = []
        self._waiting: Deque[int] = collections.deque()

    def graph(self, root: Any) -> Graph:
        reference = self._reference(root, None)
        while self._waiting:
            number = self._waiting.popleft()
            item, node = self._objects[number], self._nodes[number]
            node.kind, node.value, children = _describe(item, self._hashed)
            if node.kind == "storage" and self._places.of(item) is not None:
                node.value.append(self._places.of(item))
            seen: Set[str] = set()
            for name, child in children:
                label = name if name not in seen else f"{name} at {len(seen)}"  # NaN is a key as often as one likes
                seen.add(label)
                node.labels.append(label)
                node.references.append(self._reference(child, (number, label)))
        return Graph(reference, self._nodes, self._objects)

    def _reference(self, item: Any, parent: Optional[Tuple[int, str]]) -> Reference:
        atom = as_atom(item)
        if atom is not None:
            return atom
        key = ("storage", item._cdata) if isinstance(item, _UNTYPED) else id(item)  # noqa: SLF001 - its wrappers differ
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._nodes)
            self._nodes.append(Node("", type_name(type(item)), parent=parent))
            self._objects.append(item)  # kept alive: an id counts only as long as its object
            self._waiting.append(number)
        return number


_UNTYPED: Any = getattr(torch, "UntypedStorage", None) or getattr(torch, "_UntypedStorage", None)
_UNTYPED = _UNTYPED or torch._C.StorageBase  # noqa: SLF001 - torch before 1.11
_TYPED: Any = getattr(torch, "TypedStorage", None) or getattr(torch.storage, "_TypedStorage", None) or ()
_ALIASES = tuple(getattr(types, name) for name in ("GenericAlias", "UnionType") if hasattr(types, name))
_TORCH_NAMED = (torch.dtype, torch.layout, torch.memory_format, torch.qscheme)


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


def _describe(item: Any, hashed: bool) -> Tuple[str, Any, Children]:  # noqa: PLR0911 - one return per kind
    if isinstance(item, torch.Tensor):
        return ("tensor", *_tensor(item))
    if isinstance(item, _UNTYPED):
        return "storage", _storage_value(item, hashed), []
    if isinstance(item, _TYPED):
        return "typed storage", str(item.dtype), [(".untyped", untyped(item))]
    if isinstance(item, torch.jit.ScriptModule):
        return "script", None, [*_named(item.named_parameters()), *_named(item.named_buffers())]
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
    kind, value, children = _describe(item, hashed=True)
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
        value: Dict[str, Any] = {
            "dtype": str(item.dtype),
            "shape": list(item.shape),
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
        value["stride"], value["offset"] = list(item.stride()), int(item.storage_offset())
        if item.device.type == "meta":
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
    import numpy as np

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
