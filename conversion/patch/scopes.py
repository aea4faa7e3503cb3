"""What the names of a module's source may mean at each place, as far as torch's load is concerned.

A small model of Python's scoping: every scope has its bindings, each a set of dotted names. An import gives one;
an assignment gives those of its value, so that ``th = torch`` and ``load = torch.load`` mean what they name; all
else gives `OTHER`. A name is looked up as Python does it: in the scope of its use, then in the enclosing functions
(never in an enclosing class), then in the module.

``x.torch`` of whatever x, a parameter named torch and the like may be torch: such names mean ``?.torch``.
"""

from __future__ import annotations

import ast
import re
from typing import Dict, Mapping, Optional, Set

OTHER = "?"
GUESS = "?.torch"
HERE = "<here>"  # a class or function of the file itself
MODULES = frozenset({"torch", "torch.serialization"})
LOADS = frozenset(f"{module}.load" for module in MODULES)
IMPORTERS = frozenset({"importlib.import_module", "importlib.__import__"})
PARTS = 8  # of a dotted name: a longer one is no longer followed
_MAY_BE_LOAD = re.compile(r"(?:^|\.)torch(?:\.serialization)?\.load$")
_MAY_BE_TORCH = re.compile(r"(?:^|\.)torch(?:\.serialization)?$")


def may_be_load(name: str) -> bool:
    """Whether a dotted name may be torch's load: it is, or is one of another module's ``torch``."""
    return bool(_MAY_BE_LOAD.search(name))


def may_be_torch(name: str) -> bool:
    """Whether a dotted name may be torch, or its serialization module."""
    return bool(_MAY_BE_TORCH.search(name))


def text_of(node: Optional[ast.AST]) -> Optional[str]:
    """The text of a string constant, None for all else."""
    node = getattr(node, "value", None) if type(node).__name__ == "Index" else node  # Python 3.8
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


class Scope:
    """One scope: its kind ("module", "class", "function", "comprehension"), bindings and enclosing scope.

    Args:
        kind, above: as said.
        known: names of other files, as "module.name", and what of torch's each is.
    """

    def __init__(self, kind: str, above: Optional[Scope], known: Optional[Mapping[str, str]] = None) -> None:
        self.kind = kind
        self.above = above
        self.bindings: Dict[str, Set[str]] = {}
        self.redirected: Dict[str, Scope] = {}  # global and nonlocal declarations
        self.stars: Set[str] = set() if above is None else above.stars
        self.known: Mapping[str, str] = (known or {}) if above is None else above.known

    def bind(self, name: str, meaning: str) -> None:
        """Note that the name is bound here, in the scope that a declaration names if there is one."""
        self.bound(name).add(meaning)

    def bound(self, name: str) -> Set[str]:
        """The meanings that a binding in this scope adds to."""
        return self.redirected.get(name, self).bindings.setdefault(name, set())

    def module(self) -> Scope:
        """The outermost scope."""
        scope = self
        while scope.above is not None:
            scope = scope.above
        return scope

    def meanings(self, name: str) -> Optional[Set[str]]:
        """What the name may mean when it is used in this scope; None where nothing binds it."""
        scope: Optional[Scope] = self.redirected.get(name, self)
        inner = True
        while scope is not None:
            if name in scope.bindings and (inner or scope.kind != "class"):
                return scope.bindings[name]
            inner = inner and scope.kind == "comprehension"
            scope = scope.above
        return None

    def dotted(self, node: ast.AST) -> Set[str]:
        """The dotted names that an expression may mean: {"torch.load"}; `OTHER` among them where it is unclear."""
        meaning = getattr(self, f"_{type(node).__name__}", None)
        found: Set[str] = meaning(node) if meaning is not None else {OTHER}
        return found

    def _Name(self, node: ast.Name) -> Set[str]:  # noqa: N802 - ast's names
        return self._name(node.id)

    def _Attribute(self, node: ast.Attribute) -> Set[str]:  # noqa: N802
        return self._attribute(self.dotted(node.value), node.attr)

    def _NamedExpr(self, node: ast.NamedExpr) -> Set[str]:  # noqa: N802
        return self.dotted(node.value)

    def _IfExp(self, node: ast.IfExp) -> Set[str]:  # noqa: N802
        return self.dotted(node.body) | self.dotted(node.orelse)

    def _BoolOp(self, node: ast.BoolOp) -> Set[str]:  # noqa: N802
        return {name for value in node.values for name in self.dotted(value)}

    def _Subscript(self, node: ast.Subscript) -> Set[str]:  # noqa: N802
        return self._item(node.value, text_of(node.slice))

    def _Constant(self, node: ast.Constant) -> Set[str]:  # noqa: N802
        return set() if node.value is None else {OTHER}  # None, where an import failed: no other meaning

    def _Call(self, node: ast.Call) -> Set[str]:  # noqa: N802
        """What a call gives: ``getattr``, the ways to import by name, and any call that is given "torch"."""
        given = text_of(node.args[0]) if node.args else None
        if is_getattr(node):
            name = text_of(node.args[1])
            return {OTHER} if name is None else self._attribute(self.dotted(node.args[0]), name)
        function = self.dotted(node.func)
        if function & IMPORTERS or (isinstance(node.func, ast.Name) and node.func.id == "__import__"):
            above = text_of(node.args[1]) if len(node.args) > 1 and given and given.startswith(".") else None
            given = f"{above}{given}" if above else given
            return {GUESS} if given is None else {given, given.partition(".")[0]}
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "pop", "__getitem__"} and given:
            return self._item(node.func.value, given)
        if any(text_of(item) == "torch" for item in [*node.args, *(keyword.value for keyword in node.keywords)]):
            return {GUESS}
        return {OTHER}

    def _name(self, name: str) -> Set[str]:
        found = self.meanings(name)
        if found is None:  # from a star import, or from outside
            found = {"torch"} if name == "torch" else self._from_stars(name)
        if name == "torch" and not any(may_be_torch(meaning) for meaning in found):
            return found | {GUESS}
        return found

    def _from_stars(self, name: str) -> Set[str]:
        found = set()
        for star in self.stars:
            if star in MODULES:
                found.update({f"{star}.{name}"} & (MODULES | LOADS))
            elif name == "load":
                found.add(f"{GUESS}.load")
            else:
                found.add(self.sense(f"{star}.{name}") if self._is_known(f"{star}.{name}") else OTHER)
        return found or {OTHER}

    def _is_known(self, name: str) -> bool:
        return ".".join(name.split(".")[-2:]) in self.known

    def sense(self, name: str) -> str:
        """A dotted name, or what it is of torch's where another file says so."""
        if name.count(".") >= PARTS:
            return GUESS if name.endswith(".torch") else OTHER
        if name.startswith("torch.") or not self._is_known(name):
            return name
        *above, module, last = name.split(".")
        return ".".join([*above, module or OTHER, self.known[f"{module}.{last}"]])

    def _attribute(self, values: Set[str], name: str) -> Set[str]:
        return {
            self.sense(f"{value}.{name}") if value != OTHER else GUESS if name == "torch" else OTHER for value in values
        }

    def _item(self, container: ast.AST, key: Optional[str]) -> Set[str]:
        """``sys.modules["torch"]``, ``globals()["torch"]``, ``vars(torch)["load"]``, ``torch.__dict__["load"]``."""
        if key is None:
            return {OTHER}
        if isinstance(container, ast.Attribute) and container.attr == "__dict__":
            return self._attribute(self.dotted(container.value), key)
        if isinstance(container, ast.Call) and isinstance(container.func, ast.Name):
            if container.func.id == "vars" and container.args:
                return self._attribute(self.dotted(container.args[0]), key)
            if container.func.id in {"globals", "locals", "vars"}:
                return self._name(key)
        if "sys.modules" in self.dotted(container):
            return {key}
        return {GUESS if key == "torch" else OTHER}


def is_getattr(node: ast.AST) -> bool:
    """Whether a node is a call of ``getattr`` with a name."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) > 1
    )
