"""Every mention of torch's load in a module's source: what is called, and what nobody can follow.

One idea: whatever may be torch, or its load, must be used in a way that is understood; else it is reported. Called is
understood, and so are an attribute of torch, a test (``if torch is None``) and a plain name of the file itself
(``th = torch``). Where torch goes anywhere else (an argument, an attribute, a container, a return value) it is
reported, and then any ``x.load`` of that file, of an x that nothing is known of, may be torch's and is reported too.
A file that replaces torch.load itself is left as a whole: its calls may be made for what it puts there.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Set, Tuple

from conversion.patch import text_mentions
from conversion.patch.bindings import ScopeBuilder
from conversion.patch.scopes import (
    GUESS,
    HERE,
    LOADS,
    MODULES,
    OTHER,
    Scope,
    is_getattr,
    may_be_load,
    may_be_torch,
    text_of,
)
from conversion.patch.uses import SETTERS, Uses, last_name

RUNNERS = frozenset({"eval", "exec", "compile"})
OWN = frozenset({"self", "cls"})  # their load is the class's own
PASSED_ON = "torch is passed on as a whole, its load with it"
REPLACED = "torch.load is replaced here, for other files too: what takes its place must take weights_only"


@dataclass(frozen=True)
class Site:
    """A call to change.

    Attributes:
        call: the call, of torch.load or of a partial of it.
        none: the value of ``weights_only=None``, which becomes False; None where the argument is missing.
    """

    call: ast.Call
    none: Optional[ast.expr] = None


@dataclass(frozen=True)
class Left:
    """A node that a person has to look at, and why; `bare` where it certainly runs without the argument."""

    node: ast.AST
    reason: str
    bare: bool = False


class Mentions:
    """Finds the calls to change (`sites`), what can't be decided (`left`), and what other files can import (`exports`).

    Args:
        tree: the module's.
        unchangeable: nodes that can't be changed where they are, each with the reason.
        known: names of other files that are torch's, as `Scope` takes them.

    Raises:
        Unfollowable: names stand for one another without end.
    """

    def __init__(
        self, tree: ast.Module, unchangeable: Mapping[ast.AST, str], known: Optional[Mapping[str, str]] = None
    ) -> None:
        self.sites: List[Site] = []
        self.left: List[Left] = []
        self._unchangeable = unchangeable
        builder = ScopeBuilder(tree, known)
        self._scopes: Dict[ast.AST, Scope] = builder.scope_of
        self._nodes: List[ast.AST] = [tree]
        self._parents: Dict[ast.AST, ast.AST] = {}
        for node in self._nodes:  # parents before children
            children = list(ast.iter_child_nodes(node))
            self._parents.update((child, node) for child in children)
            self._nodes.extend(children)
        self._meant: Dict[ast.AST, Set[str]] = {}
        self._partials: Set[ast.AST] = set()  # what functools.partial is given
        self._uses = Uses(self._parents, self._scopes, self._partials)
        self._texts = text_mentions.texts(self._nodes)
        for node in self._nodes:
            self._node(node)
        self._unknown_receivers()
        self._leave_if_replaced()
        self.exports = dict(_exports(builder.top))

    def _meanings(self, node: Optional[ast.AST]) -> Set[str]:
        scope = self._scopes.get(node) if node is not None else None
        if node is None or scope is None:
            return set()
        if node not in self._meant:
            self._meant[node] = scope.dotted(node)
        return self._meant[node]

    def _leave(self, node: ast.AST, reason: str, bare: bool = False) -> None:
        self.left.append(Left(node, reason, bare))

    def _node(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._call(node)
        if node in self._texts:
            self._string(node)
        elif isinstance(node, (ast.Attribute, ast.Name, ast.Call, ast.Subscript)):
            meanings = self._meanings(node)
            if any(may_be_load(name) for name in meanings):
                self._load(node)
            elif MODULES.intersection(meanings):
                self._module(node)

    # --- calls ------------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> None:
        function: ast.AST = node.func
        if "functools.partial" in self._meanings(function) and node.args:
            function = node.args[0]
            self._partials.add(function)
        meanings = self._meanings(function)
        if any(may_be_load(name) for name in meanings):
            self._site(node, meanings)
        elif is_getattr(node) and text_of(node.args[1]) is None:
            if any(may_be_torch(name) for name in self._meanings(node.args[0])):
                self._leave(
                    node,
                    "an attribute of what may be torch is fetched under a name that isn't known here",
                )
        elif {"torch", "load"} <= {text_of(item) for item in node.args}:
            self._leave(node, REPLACED)
        elif isinstance(function, ast.Name) and function.id in RUNNERS and self._meanings(function) <= {OTHER}:
            self._run_text(node)

    def _site(self, node: ast.Call, meanings: Set[str]) -> None:
        decided, none = _given(node)
        unclear = sorted(meanings - LOADS)
        if decided is True:
            return
        if unclear:
            unnamed = (OTHER, HERE, f"{GUESS}.load")
            others = " or ".join(dict.fromkeys("something else" if name in unnamed else name for name in unclear))
            self._leave(node, f"the name may be torch.load or {others}")
        elif isinstance(decided, str):
            self._leave(node, decided)
        elif node in self._unchangeable:
            self._leave(node, self._unchangeable[node], bare=True)
        else:
            self.sites.append(Site(node, none))

    # --- uses of torch and of its load ------------------------------------------------------------------------------

    def _load(self, node: ast.AST) -> None:
        use = self._uses.use(node)
        if use == "stored":
            self._leave(node, REPLACED)
        elif use in {"passed", "attribute", "set"}:
            self._leave(node, "torch.load is passed on, not called here")
        elif use == "named" and self._scopes[node].kind == "module":
            self._leave(node, "torch.load is passed on under another name, which other files can import")

    def _module(self, node: ast.AST) -> None:
        use = self._uses.use(node)
        if use == "set":
            self._leave(node, REPLACED)
        elif use in {"passed", "called"}:
            self._leave(node, PASSED_ON)

    # --- what follows for the whole file ----------------------------------------------------------------------------

    def _line(self, reason: str) -> Optional[int]:
        lines = [item.node.lineno for item in self.left if item.reason == reason]  # type: ignore[attr-defined]
        return min(lines, default=None)

    def _unknown_receivers(self) -> None:
        line = self._line(PASSED_ON)
        if line is None:
            return
        for node in self._nodes:
            receiver = _receiver_of_load(node)
            if receiver is None or (isinstance(receiver, ast.Name) and receiver.id in OWN):
                continue
            meanings = self._meanings(node)
            known = any(may_be_load(name) for name in meanings) or f"{HERE}.load" in meanings
            if not known and any(name == OTHER or name.startswith(HERE) for name in meanings):
                self._leave(node, f"torch is passed on in line {line}, and may be what this is a load of")

    def _leave_if_replaced(self) -> None:
        line = self._line(REPLACED)
        if line is not None:
            reason = f"this file replaces torch.load (line {line}), so its calls are left as they are"
            self.left.extend(Left(site.call, reason) for site in self.sites)
            self.sites = []

    # --- text -------------------------------------------------------------------------------------------------------

    def _string(self, node: ast.AST) -> None:
        parent = self._parents.get(node)
        if parent in self._texts or isinstance(parent, ast.Expr):  # a part of another; a docstring
            return
        text = text_mentions.text(node)
        if "torch" not in text or "load" not in text:
            return
        if may_be_load(text.strip()) and all(part.isidentifier() for part in text.strip().split(".")):
            setting = isinstance(parent, ast.Call) and last_name(parent.func) in SETTERS and node in parent.args[:1]
            self._leave(node, REPLACED if setting else "torch.load is named in a text")
        elif _has_code(text) and not self._shows_its_source(node):
            self._leave(node, "a text holds torch.load, which may be run as code")

    def _shows_its_source(self, node: ast.AST) -> bool:
        """Whether a text is an f-string with the call itself in it, which is reported as a call."""
        calls = [inner for inner in ast.walk(node) if isinstance(inner, ast.Call) and inner in self._unchangeable]
        return any(may_be_load(name) for call in calls for name in self._meanings(call.func))

    def _run_text(self, node: ast.Call) -> None:
        """Code in a text may use this file's names for torch.load."""
        text = text_mentions.text(node.args[0]) if node.args else ""
        tree = text_mentions.parsed(text) if "torch" not in text else None
        if tree is None:
            return
        scope = self._scopes[node]
        for inner in ast.walk(tree):
            if isinstance(inner, (ast.Name, ast.Attribute)) and any(may_be_load(n) for n in scope.dotted(inner)):
                self._leave(node, "a text holds torch.load, which may be run as code")
                return


def _has_code(text: str) -> bool:
    """Whether a text mentions a load that is not decided: as Python where it is that, else by its look."""
    tree = text_mentions.parsed(text)
    if tree is None:
        return text_mentions.has_call(text)
    found = Mentions(tree, {})
    return bool(found.sites or found.left)


def _exports(top: Scope) -> Iterator[Tuple[str, str]]:
    """The module's own names for torch and its load, each with what it is ("torch", "torch.load")."""
    for name, meanings in top.bindings.items():
        if any(may_be_load(meaning) for meaning in meanings):
            yield name, "torch.load"
        elif name != "torch" and any(may_be_torch(meaning) for meaning in meanings):
            yield name, "torch"


def _receiver_of_load(node: ast.AST) -> Optional[ast.AST]:
    """The x of ``x.load`` and of ``getattr(x, "load")``; None for all else and for ``super().load``."""
    if isinstance(node, ast.Attribute) and node.attr == "load" and isinstance(node.ctx, ast.Load):
        return None if last_name(node.value) == "super" else node.value
    if isinstance(node, ast.Call) and is_getattr(node) and text_of(node.args[1]) == "load":
        return node.args[0]
    return None


def _given(node: ast.Call) -> "Tuple[object, Optional[ast.expr]]":
    """Whether weights_only is decided: True, False or the reason why that isn't known; and its value where None."""
    unknown: object = False
    for keyword in node.keywords:
        pairs = [(keyword.arg, keyword.value)]
        if keyword.arg is None:
            if not isinstance(keyword.value, ast.Dict):
                unknown = "its ** argument may bring weights_only"
                continue
            literal = [(key, value) for key, value in zip(keyword.value.keys, keyword.value.values)]
            if any(text_of(key) is None for key, _ in literal):
                unknown = "its ** argument may bring weights_only"
            pairs = [(text_of(key), value) for key, value in literal]
        for name, value in pairs:
            if name != "weights_only":
                continue
            if not isinstance(value, ast.Constant):
                return "whether weights_only is given as False isn't known here", None
            return (False, value) if value.value is None else (True, None)
    return unknown, None
