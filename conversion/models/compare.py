"""Compares two object graphs node by node, identities included; every difference is named with its place.

Without rules, all that a graph holds must be equal. With rules (`conversion.models.rules`), what is a library's own
business is told apart by name and becomes a note; everything else is a difference all the same.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Protocol, Set, Tuple

from conversion.models.graph import WITHOUT_IDENTITY, Graph, Node, Reference, shown

_LONG = 80


class Pair(NamedTuple):
    """Two references that must agree, and the place in the file."""

    old: Reference
    new: Reference
    path: str


@dataclass
class Ruling:
    """What the rules say of two nodes.

    Attributes:
        skip: labels that are not compared as such.
        pairs: what is compared in their place.
        notes: what is the library's own business, in words.
        problems: what is wrong.
    """

    skip: Set[str] = field(default_factory=set)
    pairs: List[Pair] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)
    problems: List[str] = field(default_factory=list)


class Rules(Protocol):
    """Tells what of two nodes is a library's own business."""

    def same_name(self, old: str, new: str) -> bool:
        """Whether the dotted names of a class or of a function count as one."""

    def ruling(self, comparison: Comparison, old: int, new: int, path: str) -> Ruling:
        """What to leave out, to compare otherwise, to tell and to reject."""


class Comparison:
    """A comparison of two graphs; `differences` and `notes` are filled by `run`."""

    def __init__(self, old: Graph, new: Graph, rules: Optional[Rules] = None) -> None:
        self.old, self.new, self.rules = old, new, rules
        self.differences: List[str] = []
        self.notes: List[str] = []
        self.compared = 0
        self._there: Dict[int, int] = {}
        self._back: Dict[int, int] = {}
        self._waiting: Deque[Pair] = collections.deque()

    def run(self) -> Comparison:
        """Compare from the roots on."""
        return self._follow(Pair(self.old.root, self.new.root, ""))

    def assume(self, old: int, new: int) -> None:
        """Take two nodes for the same, whatever they hold."""
        self._there[old], self._back[new] = new, old

    def may_match(self, old: int, new: int) -> bool:
        """Whether nothing that is known speaks against two nodes being the same."""
        return self._there.get(old, new) == new and self._back.get(new, old) == old

    def agree(self, pair: Pair) -> bool:
        """Whether what two references reach is equal, given what is known so far; if so, it counts as compared."""
        trial = Comparison(self.old, self.new)
        trial._there, trial._back = dict(self._there), dict(self._back)
        trial._follow(pair)
        if not trial.differences:
            self._there, self._back = trial._there, trial._back
            self.compared += trial.compared
        return not trial.differences

    def _follow(self, first: Pair) -> Comparison:
        self._waiting.append(first)
        while self._waiting:
            pair = self._waiting.popleft()
            if isinstance(pair.old, int) and isinstance(pair.new, int):
                self._nodes(pair.old, pair.new, pair.path)
            elif pair.old != pair.new and not self._same_name(pair.old, pair.new):
                self._differs(pair.path, f"was {self.words(self.old, pair.old)}, is {self.words(self.new, pair.new)}")
        return self

    def _differs(self, path: str, text: str) -> None:
        self.differences.append(f"{shown(path)}: {text}")

    def _nodes(self, old: int, new: int, path: str) -> None:
        before, now = self.old.nodes[old], self.new.nodes[new]
        if self._there.get(old) == new:
            return
        if before.kind not in WITHOUT_IDENTITY:
            if old in self._there:
                one = self.old.path(old)
                self._differs(path, f"was one and the same as {one}, is another object now")
                return
            if new in self._back:
                self._differs(path, f"was an object of its own, is the same as {self.new.path(new)} now")
                return
            self._back[new] = old
        self._there[old] = new
        self.compared += 1
        if before.kind != now.kind or not self._same_name(["class", before.type], ["class", now.type]):
            self._differs(path, f"was a {before.type}, is a {now.type}")
            return
        if before.kind == "opaque":
            self._differs(path, f"a {before.type} can't be taken apart, so it can't be compared: {before.value}")
            return
        if before.value != now.value:
            self._differs(path, _value_difference(before, now))
        ruling = self.rules.ruling(self, old, new, path) if self.rules else Ruling()
        self.notes.extend(ruling.notes)
        for problem in ruling.problems:
            self._differs(path, problem)
        self._children(before, now, path, ruling.skip)
        self._waiting.extend(ruling.pairs)

    def _same_name(self, old: Reference, new: Reference) -> bool:
        if old == new or isinstance(old, int) or isinstance(new, int):
            return old == new
        named = old[0] == new[0] and old[0] in ("class", "function")
        return named and self.rules is not None and self.rules.same_name(old[1], new[1])

    def _children(self, before: Node, now: Node, path: str, skip: Set[str]) -> None:
        there = dict(zip(before.labels, before.references))
        here = dict(zip(now.labels, now.references))
        for label, reference in there.items():
            if label not in here and label not in skip:
                self._differs(path + label, f"was {self.words(self.old, reference)}, is gone")
        for label, reference in here.items():
            if label not in there and label not in skip:
                self._differs(path + label, f"is new: {self.words(self.new, reference)}")
        common = [label for label in there if label in here and label not in skip]
        items = [label for label in common if not label.startswith(".")]
        if items != [label for label in now.labels if label in there and label not in skip and label[0] != "."]:
            self._differs(path, "has its items in another order")
        self._waiting.extend(Pair(there[label], here[label], path + label) for label in common)

    def words(self, graph: Graph, reference: Reference) -> str:
        """A reference in words: an atom's value, or a node's class."""
        if isinstance(reference, int):
            node = graph.nodes[reference]
            if node.kind == "tensor":
                return f"a {node.value['dtype'].rpartition('.')[2]} tensor of shape {tuple(node.value['shape'])}"
            return f"a {node.type}" if node.kind != "scalar" else f"{node.type} {node.value}"
        kind, value = reference
        text = str(value) if kind not in ("str", "bytes") else repr(value)
        if kind == "float" and value != "nan":
            text = repr(float.fromhex(value))
        return text if len(text) <= _LONG else text[:_LONG] + "…"


def _value_difference(before: Node, now: Node) -> str:
    if before.kind == "storage":
        if before.value[0] != now.value[0]:
            return f"had {before.value[0]} bytes, has {now.value[0]}"
        if before.value[1] == now.value[1]:
            return f"was to lie on {(*before.value, 'cpu')[2]}, is to lie on {(*now.value, 'cpu')[2]}"
        return f"its {before.value[0]} bytes differ"
    if before.kind == "tensor":
        changed: List[Tuple[str, Any, Any]] = [
            (name, before.value.get(name), now.value.get(name))
            for name in {**before.value, **now.value}
            if before.value.get(name) != now.value.get(name)
        ]
        return "; ".join(f"{name} was {old}, is {new}" for name, old, new in changed)
    return f"was {before.value}, is {now.value}"
