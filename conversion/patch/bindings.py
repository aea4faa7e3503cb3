"""Finds what each name of a module's source is bound to, scope by scope: imports, assignments, parameters, patterns."""

from __future__ import annotations

import ast
from typing import Dict, List, Mapping, Optional, Set, Tuple, Union

from conversion.patch.scopes import HERE, OTHER, Scope

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
ROUNDS = 100  # of following names that mean other names


class Unfollowable(ValueError):
    """The file's names stand for one another in more turns than are followed."""


class ScopeBuilder(ast.NodeVisitor):
    """Walks a tree and gives every node the scope in which its names are looked up, in `scope_of`.

    Raises:
        Unfollowable: names stand for one another without end.
    """

    def __init__(self, tree: ast.Module, known: Optional[Mapping[str, str]] = None) -> None:
        self.scope_of: Dict[ast.AST, Scope] = {}
        self.scope = self.top = Scope("module", None, known)
        self._given: List[Tuple[Set[str], Scope, ast.AST]] = []  # meanings, and the value that gives them
        self.visit(tree)
        self._follow()

    def _follow(self) -> None:
        """Give every name what its values mean, until nothing is added."""
        for _ in range(ROUNDS):
            added = False
            for meanings, scope, value in self._given:
                new = scope.dotted(value) - meanings
                meanings.update(new)
                added = added or bool(new)
            if not added:
                return
        raise Unfollowable("its names stand for one another in more turns than are followed")

    def _assign(self, scope: Scope, target: ast.AST, value: ast.AST) -> None:
        """Bind a target to what a value means; the names of a tuple one by one where the value is one too."""
        pair = (ast.Tuple, ast.List)
        if isinstance(target, ast.Name):
            self.scope_of[target] = self.scope
            itself = scope.kind == "class" and isinstance(value, ast.Name) and value.id == target.id
            self._given.append((scope.bound(target.id), scope.above if itself and scope.above else self.scope, value))
        elif isinstance(target, pair) and isinstance(value, pair) and len(target.elts) == len(value.elts):
            self.scope_of[target] = self.scope
            for each, its in zip(target.elts, value.elts):
                self._assign(scope, each, its)
        else:
            self.visit(target)
            for name in ast.walk(target) if isinstance(target, pair) and isinstance(value, ast.Call) else ():
                if isinstance(name, ast.Name):
                    self._given.append((scope.bound(name.id), self.scope, value))

    def visit(self, node: ast.AST) -> None:
        """Note the node's scope and go on below it."""
        self.scope_of[node] = self.scope
        super().visit(node)

    def _within(self, kind: str, nodes: List[ast.AST], arguments: Optional[ast.arguments] = None) -> None:
        self.scope = Scope(kind, self.scope)
        if arguments is not None:
            self._parameters(arguments)
        for declaration in (n for node in nodes for n in _statements(node)):
            self._declare(declaration)
        for node in nodes:
            self.visit(node)
        assert self.scope.above is not None  # noqa: S101 - made above
        self.scope = self.scope.above

    def _parameters(self, arguments: ast.arguments) -> None:
        """A parameter may be anything, also what its default means."""
        assert self.scope.above is not None  # noqa: S101 - made by the caller
        placed = [*getattr(arguments, "posonlyargs", []), *arguments.args]
        for item in [*placed, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
            if item is not None:
                self.scope.bind(item.arg, OTHER)
        defaulted = placed[len(placed) - len(arguments.defaults) :]
        for item, value in zip([*defaulted, *arguments.kwonlyargs], [*arguments.defaults, *arguments.kw_defaults]):
            if value is not None:
                self._given.append((self.scope.bound(item.arg), self.scope.above, value))

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
        self.scope.bind(node.name, HERE)
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
        self.scope.bind(node.name, HERE)
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
        self._assign(scope, node.target, node.value)
        self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        """A stored name is a binding; so is one that a loop, with, or pattern stores."""
        if isinstance(node.ctx, ast.Store):
            self.scope.bind(node.id, OTHER)

    def visit_Assign(self, node: ast.Assign) -> None:
        """An assigned name means what its value means."""
        for target in node.targets:
            self._assign(self.scope, target, node.value)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The same; ``name: type`` alone binds nothing."""
        self.visit(node.annotation)
        if node.value is not None:
            self._assign(self.scope, node.target, node.value)
            self.visit(node.value)
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

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
        """``from a import b as c`` binds c to a.b; a relative import keeps its dots."""
        module = "." * node.level + (node.module or "")
        for item in node.names:
            if item.name == "*":
                self.scope.stars.add(module)
            else:
                self.scope.bind(item.asname or item.name, self.scope.sense(f"{module}.{item.name}"))


def _statements(node: ast.AST) -> List[ast.AST]:
    """A statement and those inside it, without those of inner functions and classes."""
    found = [node]
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef, ast.expr)):
            found.extend(_statements(child))
    return found
