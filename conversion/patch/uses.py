"""How a value is used where it stands: called, tested, given a name, or passed on to who knows where."""

from __future__ import annotations

import ast
from typing import Collection, Mapping

from conversion.patch.scopes import Scope, is_getattr, text_of

TESTS = (ast.Compare, ast.UnaryOp, ast.If, ast.While, ast.IfExp, ast.Assert, ast.Expr, ast.FormattedValue, ast.Delete)
TESTERS = frozenset({"hasattr", "isinstance", "callable", "id", "type", "repr", "str"})
SETTERS = frozenset({"setattr", "delattr", "object", "patch"})  # setattr, monkeypatch.setattr, mock.patch.object
WHOLE = frozenset({"__dict__", "__getattribute__", "__getattr__", "__setattr__", "__delattr__"})  # past load's name
READERS = frozenset({"get", "__getitem__", "__getattribute__", "__getattr__"})


class Uses:
    """Tells it of any node of one module.

    Args:
        parents: of each node but the module. scopes: where each node stands.
        partials: what functools.partial is given: counts as called.
    """

    def __init__(
        self, parents: Mapping[ast.AST, ast.AST], scopes: Mapping[ast.AST, Scope], partials: Collection[ast.AST]
    ) -> None:
        self._parents = parents
        self._scopes = scopes
        self._partials = partials

    def use(self, node: ast.AST) -> str:
        """How a value is used: "called", "attribute", "named", "tested", "stored", "set" or "passed"."""
        child, parent = node, self._parents.get(node)
        if node in self._partials:
            return "called"
        if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            return "tested" if isinstance(node, ast.Name) else "stored"
        while isinstance(parent, (ast.BoolOp, ast.NamedExpr)) or (
            isinstance(parent, ast.IfExp) and child is not parent.test
        ):
            child, parent = parent, self._parents.get(parent)
        if isinstance(parent, ast.Call):
            return "called" if child is parent.func else self._argument(parent, child)
        if isinstance(parent, ast.Attribute):
            return self._whole(parent, parent.attr) if parent.attr in WHOLE else "attribute"
        if isinstance(parent, TESTS) or (isinstance(parent, ast.comprehension) and child in parent.ifs):
            return "tested"
        return "named" if self._is_plain_name(child) else "passed"

    def _argument(self, call: ast.Call, argument: ast.AST) -> str:
        """How the argument of a call is used there."""
        function = last_name(call.func)
        if function in TESTERS:
            return "tested"
        if is_getattr(call) and argument is call.args[0]:
            return "attribute"
        if function == "vars":
            return self._whole(call, "__dict__")
        if function in SETTERS and argument in call.args[:-1]:
            text = text_of(call.args[call.args.index(argument) + 1])
            return "set" if text == "load" or (text is None and function != "patch") else "attribute"
        return "set" if _names_load(call) else "passed"

    def _whole(self, node: ast.AST, name: str) -> str:
        """How torch's dictionary is used, or one of its methods that lead past the names of its attributes."""
        around = self._parents.get(node)
        if isinstance(around, ast.Subscript):
            return "passed" if text_of(around.slice) is None else "attribute"
        method = around.attr if isinstance(around, ast.Attribute) else name
        call = self._parents.get(around) if isinstance(around, ast.Attribute) else around
        if not isinstance(call, ast.Call) or not call.args + call.keywords:
            return "passed"
        if method in READERS:
            key = text_of(call.args[0]) if method == "get" and call.args else None
            return "passed" if key is None else "attribute"
        return "set" if _names_load(call) else "passed"

    def _is_plain_name(self, value: ast.AST) -> bool:
        """Whether an assignment gives a value to names of this file alone; a class's are its instances' too."""
        parent = self._parents.get(value)
        if isinstance(parent, (ast.Tuple, ast.List)):
            value, parent = parent, self._parents.get(parent)
        if not isinstance(parent, (ast.Assign, ast.AnnAssign)) or parent.value is not value:
            return False
        if self._scopes[parent].kind == "class":
            return False
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        size = len(value.elts) if isinstance(value, (ast.Tuple, ast.List)) else None
        for target in targets:
            names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
            if not all(isinstance(name, ast.Name) for name in names) or (len(names) != (size or 1)):
                return False
        return True


def _names_load(call: ast.Call) -> bool:
    """Whether a call is given the word load: given torch too, it may well replace torch.load."""
    inside = (node for item in [*call.args, *call.keywords] for node in ast.walk(item))
    return any(text_of(node) == "load" or (isinstance(node, ast.keyword) and node.arg == "load") for node in inside)


def last_name(node: ast.AST) -> str:
    """The name that stands last in what is called or meant: ``c`` of ``a.b.c(…)``."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
