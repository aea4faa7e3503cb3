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
import re
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, List, Optional, Sequence, Set, Tuple, Union

import torch

from conversion.models.objects import UNTYPED, as_atom, describe, type_name, untyped

Reference = Union[int, List[Any]]

# Objects of these kinds have no identity that anybody could notice: Python shares and copies them as it likes.
WITHOUT_IDENTITY = frozenset(("tuple", "frozenset", "method", "scalar"))
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


def open_tensors(root: Any) -> List[Any]:
    """The same without those within objects of C's, such as packed weights, whose operations want them as they are."""
    graph = record(root, hashed=False)
    closed: Any = getattr(torch, "ScriptObject", ())
    packed: Set[int] = set()
    for number, node in enumerate(graph.nodes):  # a parent comes before what it holds
        above = node.parent[0] if node.parent is not None else None
        if above is not None and (above in packed or isinstance(graph.objects[above], closed)):
            packed.add(number)
    live = enumerate(graph.objects)
    return [item for number, item in live if isinstance(item, torch.Tensor) and number not in packed]


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
            node.kind, node.value, children = describe(item, self._hashed)
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
        key = ("storage", item._cdata) if isinstance(item, UNTYPED) else id(item)  # noqa: SLF001 - its wrappers differ
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._nodes)
            self._nodes.append(Node("", type_name(type(item)), parent=parent))
            self._objects.append(item)  # kept alive: an id counts only as long as its object
            self._waiting.append(number)
        return number
