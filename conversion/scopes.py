"""Which names of a module's source mean torch, or torch.load, at each place.

A small model of Python's scoping: every scope has its bindings, each either the dotted name that an import
gives or `OTHER`. A name is looked up as Python does it: in the scope of its use, then in the enclosing
functions (never in an enclosing class), then in the module.
"""

from __future__ import annotations

import ast
from typing import Dict, List, Optional, Set, Union

OTHER = "?"
LOADS = frozenset({"torch.load", "torch.serialization.load"})
STARS = frozenset({"torch", "torch.serialization"})
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Scope:
    """One scope: its kind ("module", "class", "function", "comprehension"), bindings and enclosing scope."""

    def __init__(self, kind: str, above: Optional[Scope]) -> None:
        self.kind = kind
        self.above = above
        self.bindings: Dict[str, Set[str]] = {}
        self.redirected: Dict[str, Scope] = {}  # global and nonlocal declarations
        self.stars: Set[str] = set() if above is None else above.stars

    def bind(self, name: str, meaning: str) -> None:
        """Note that the name is bound here, in the scope that a declaration names if there is one."""
        self.redirected.get(name, self).bindings.setdefault(name, set()).add(meaning)

    def module(self) -> Scope:
        """The outermost scope."""
        scope = self
        while scope.above is not None:
            scope = scope.above
        return scope

    def meanings(self, name: str) -> Set[str]:
        """What the name may mean when it is used in this scope; empty where nothing binds it."""
        scope: Optional[Scope] = self.redirected.get(name, self)
        inner = True
        while scope is not None:
            if name in scope.bindings and (inner or scope.kind != "class"):
                return scope.bindings[name]
            inner = inner and scope.kind == "comprehension"
            scope = scope.above
        return set()

    def dotted(self, node: ast.AST) -> Set[str]:
        """The dotted names that an expression may mean: {"torch.load"}; `OTHER` among them where it is unclear."""
        if isinstance(node, ast.Attribute):
            return {OTHER if name == OTHER else f"{name}.{node.attr}" for name in self.dotted(node.value)}
        if isinstance(node, ast.Name):
            found = self.meanings(node.id)
            if found:
                return found
            if node.id == "torch":  # bound by a star import, or from outside
                return {"torch"}
            if node.id == "load" and self.stars & STARS:
                return {"torch.load"} | (set() if self.stars <= STARS else {OTHER})
        return {OTHER}


class ScopeBuilder(ast.NodeVisitor):
    """Walks a tree and gives every node the scope in which its names are looked up, in `scope_of`."""

    def __init__(self, tree: ast.Module) -> None:
        self.scope_of: Dict[ast.AST, Scope] = {}
        self.scope = Scope("module", None)
        self.visit(tree)

    def visit(self, node: ast.AST) -> None:
        """Note the node's scope and go on below it."""
        self.scope_of[node] = self.scope
        super().visit(node)

    def _within(self, kind: str, nodes: List[ast.AST], arguments: Optional[ast.arguments] = None) -> None:
        self.scope = Scope(kind, self.scope)
        if arguments is not None:
            named = [*getattr(arguments, "posonlyargs", []), *arguments.args, *arguments.kwonlyargs]
            named += [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
            for item in named:
                self.scope.bind(item.arg, OTHER)
        for declaration in (n for node in nodes for n in _statements(node)):
            self._declare(declaration)
        for node in nodes:
            self.visit(node)
        assert self.scope.above is not None  # noqa: S101 - made above
        self.scope = self.scope.above

    def _declare(self, node: ast.AST) -> None:
        if isinstance(node, ast.Global):
            for name in node.names:
                self.scope.redirected[name] = self.scope.module()
        elif isinstance(node, ast.Nonlocal):
            for name in node.names:
                above = self.scope.above
                while above is not None and (above.kind != "function" or name not in above.bindings):
                    above = above.above
                if above is not None:
                    self.scope.redirected[name] = above

    def _visit_all(self, nodes: List[Optional[ast.AST]]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _function(self, node: Union[ast.FunctionDef, ast.AsyncFunctionDef]) -> None:
        self.scope.bind(node.name, OTHER)
        self._visit_all([*node.decorator_list, node.returns])
        self._outside(node.args)
        self._within("function", list(node.body), node.args)

    visit_FunctionDef = _function  # noqa: N815 - ast's names
    visit_AsyncFunctionDef = _function  # noqa: N815

    def _outside(self, arguments: ast.arguments) -> None:
        """Defaults and annotations are looked up outside of the function."""
        named = [*getattr(arguments, "posonlyargs", []), *arguments.args, *arguments.kwonlyargs]
        named += [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
        self._visit_all([*arguments.defaults, *arguments.kw_defaults, *(item.annotation for item in named)])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """A function of one expression."""
        self._outside(node.args)
        self._within("function", [node.body], node.args)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A class's body is a scope that its methods don't see."""
        self.scope.bind(node.name, OTHER)
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords])
        self._within("class", list(node.body))

    def _comprehension(self, node: ast.AST) -> None:
        generators: List[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self.visit(generators[0].iter)  # looked up outside
        self.scope = Scope("comprehension", self.scope)
        for index, item in enumerate(generators):
            self.scope_of[item] = self.scope
            self._visit_all([item.target, *([] if index == 0 else [item.iter]), *item.ifs])
        self._visit_all([getattr(node, field, None) for field in ("key", "value", "elt")])
        assert self.scope.above is not None  # noqa: S101 - made above
        self.scope = self.scope.above

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """A walrus binds in the scope around any comprehension."""
        scope = self.scope
        while scope.kind == "comprehension" and scope.above is not None:
            scope = scope.above
        scope.bind(node.target.id, OTHER)
        self.scope_of[node.target] = self.scope
        self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        """A stored name is a binding; so is one that a loop, with, or pattern stores."""
        if isinstance(node.ctx, ast.Store):
            self.scope.bind(node.id, OTHER)

    def visit_Assign(self, node: ast.Assign) -> None:
        """``torch = None`` (where an import failed) gives the name no other meaning."""
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self.scope_of[target] = self.scope
                else:
                    self.visit(target)
            self.visit(node.value)
        else:
            self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """``except E as name`` binds the name."""
        if node.name:
            self.scope.bind(node.name, OTHER)
        self.generic_visit(node)

    def _captures(self, node: ast.AST) -> None:
        for field in ("name", "rest"):
            name = getattr(node, field, None)
            if name:
                self.scope.bind(name, OTHER)
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _captures  # noqa: N815

    def visit_Import(self, node: ast.Import) -> None:
        """``import a.b`` binds a, ``import a.b as c`` binds c to a.b."""
        for item in node.names:
            if item.asname:
                self.scope.bind(item.asname, item.name)
            else:
                root = item.name.partition(".")[0]
                self.scope.bind(root, root)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """``from a import b as c`` binds c to a.b; a relative import is none of torch's."""
        for item in node.names:
            if item.name == "*":
                self.scope.stars.add(OTHER if node.level else str(node.module))
            else:
                self.scope.bind(item.asname or item.name, OTHER if node.level else f"{node.module}.{item.name}")


def _statements(node: ast.AST) -> List[ast.AST]:
    """A statement and those inside it, without those of inner functions and classes."""
    found = [node]
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef, ast.expr)):
            found.extend(_statements(child))
    return found
