"""Sizes of a probe: numbers that may depend on the model's file, and the small arithmetic that gives them."""

from __future__ import annotations

import ast
import fnmatch
import operator
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Type

from conversion.failures import ConversionError

LARGEST = 2**48  # of any value on the way: no tensor has more elements
LONGEST = 200  # characters of an expression
_OPERATIONS: Dict[Type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Size:
    """One named size.

    Attributes:
        fixed: the number itself.
        match: a regular expression that is looked for in the file's path.
        values: what the match's first group (the whole match where it has none) stands for.
        expression: arithmetic on whole numbers, with the match's named groups and the sizes listed before.
        files: numbers by globs of paths; the first glob that fits counts.
    """

    fixed: Optional[int] = None
    match: Optional[str] = None
    values: Optional[Mapping[str, int]] = None
    expression: Optional[str] = None
    files: Optional[Mapping[str, int]] = None


def resolve(sizes: Mapping[str, Size], file: str) -> Dict[str, int]:
    """The sizes for one model file, by name.

    Raises:
        ConversionError: the file's path fits none of what is listed, or an expression gives no size.
    """
    found: Dict[str, int] = {}
    for name, size in sizes.items():
        try:
            value = _resolve(size, file, found)
        except ConversionError as error:
            raise ConversionError(f"the probe's size {name}: {error}") from error
        if value < 0:
            raise ConversionError(f"the probe's size {name} is {value} for this file; sizes are not negative")
        found[name] = value
    return found


def _resolve(size: Size, file: str, before: Mapping[str, int]) -> int:
    if size.fixed is not None:
        return size.fixed
    if size.files is not None:
        for pattern, value in size.files.items():
            if fnmatch.fnmatchcase(file, pattern):
                return value
        raise ConversionError(f"no glob of files fits {file}; there are {', '.join(size.files)}")
    names = dict(before)
    if size.match is not None:
        matched = re.search(size.match, file)
        if matched is None:
            raise ConversionError(f"{size.match!r} is not found in {file}")
        if size.values is not None:
            key = str(matched.group(1 if matched.re.groups else 0))
            if key not in size.values:
                raise ConversionError(f"has no value for {key!r}, found in {file}; known are {', '.join(size.values)}")
            return size.values[key]
        names.update(_numbers(matched, file))
    return evaluate(str(size.expression), names)


def _numbers(matched: Any, file: str) -> Dict[str, int]:
    numbers: Dict[str, int] = {}
    for name, text in matched.groupdict().items():
        if text is not None:
            try:
                numbers[name] = int(text)
            except ValueError:
                raise ConversionError(f"the group {name} of the match is {text!r} in {file}, no number") from None
    return numbers


def names_in(expression: str) -> "set[str]":
    """The names that an expression uses.

    Raises:
        ConversionError: it is no arithmetic on whole numbers and names.
    """
    tree = _parse(expression)
    for node in ast.walk(tree):
        if not isinstance(node, (ast.expr_context, ast.operator, ast.unaryop)):
            _checked(node)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def evaluate(expression: str, names: Mapping[str, int]) -> int:
    """The value of an expression: whole numbers, names, ``+ - * // % **`` and parentheses; nothing is called.

    Raises:
        ConversionError: another construct, an unknown name, a division by zero, a value beyond 2 ** 48.
    """
    return _value(_parse(expression), names)


def _parse(expression: str) -> ast.expr:
    if len(expression) > LONGEST:
        raise ConversionError(f"the expression has {len(expression)} characters, more than {LONGEST}")
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConversionError(f"{expression!r} is no arithmetic: {error}") from None


def _checked(node: ast.AST) -> ast.AST:
    number = isinstance(node, ast.Constant) and type(node.value) is int
    signed = isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd))
    pair = isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS
    if number or signed or pair or isinstance(node, ast.Name):
        return node
    what = type(node.op).__name__ if isinstance(node, (ast.BinOp, ast.UnaryOp)) else type(node).__name__
    raise ConversionError(f"only whole numbers, names, + - * // % ** and parentheses are known, no {what}")


def _value(node: ast.expr, names: Mapping[str, int]) -> int:
    _checked(node)
    if isinstance(node, ast.Name):
        if node.id not in names:
            known = ", ".join(names) or "none"
            raise ConversionError(f"the name {node.id} stands for nothing; known are {known}")
        return names[node.id]
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, names)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        return _operate(node.op, _value(node.left, names), _value(node.right, names))
    return _bounded(int(ast.literal_eval(node)))


def _operate(kind: ast.operator, left: int, right: int) -> int:
    if isinstance(kind, ast.Pow) and not (0 <= right <= LARGEST.bit_length()):
        raise ConversionError(f"the exponent {right} is not between 0 and {LARGEST.bit_length()}")
    try:
        return _bounded(_OPERATIONS[type(kind)](left, right))
    except ZeroDivisionError:
        raise ConversionError("divides by zero") from None


def _bounded(value: int) -> int:
    if abs(value) > LARGEST:
        raise ConversionError("gives a number beyond 2 ** 48")
    return value
