"""Mentions of torch's load in text: strings of a Python file, and files of other kinds (notebooks, shell, Cython)."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Iterator, List, Optional, Sequence, Set, Tuple

from conversion.patch.source_text import parse

_LOAD = r"(?:serialization\s*\.\s*)?load\b"
_CALL = re.compile(r"\s*\(")
_ALIAS = re.compile(r"\bimport\s+(?:[\w.]+\s*,\s*)*torch(?:\.serialization)?\s+as\s+(\w+)")
_IMPORT = r"\bfrom\s+torch(?:\.serialization)?\s+import\s[^\n]*\bload\b"
HOLE = "_"  # stands for what isn't known of a text


def texts(nodes: Sequence[ast.AST]) -> Set[ast.AST]:
    """The nodes that are strings, or strings put together with + and %; `nodes` has parents before children."""
    found: Set[ast.AST] = set()
    for node in reversed(nodes):
        if isinstance(node, ast.BinOp):
            together = isinstance(node.op, (ast.Add, ast.Mod)) and (node.left in found or node.right in found)
        else:
            together = isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), (str, bytes))
        if together and isinstance(node, (ast.BinOp, ast.JoinedStr, ast.Constant)):
            found.add(node)
    return found


def text(node: ast.AST) -> str:
    """The text of such a node, a `HOLE` for each part that isn't known."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
        return node.value.decode("latin-1")
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return text(node.left)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text(node.left) + text(node.right)
    return HOLE


def parsed(source: str) -> Optional[ast.Module]:
    """The tree of a text that is Python, None for any other."""
    try:
        return parse(textwrap.dedent(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def has_call(source: str) -> bool:
    """Whether a text that isn't Python as a whole looks as if it called torch's load, or imported it."""
    return any(code.startswith("from") or _CALL.match(source, end) for _, end, code in _mentions(source))


def _mentions(source: str) -> Iterator[Tuple[int, int, str]]:
    """Start, end and text of each mention of torch's load, by its look."""
    names = {"torch", *_ALIAS.findall(source)}
    mention = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, names)))})\s*\.\s*{_LOAD}|{_IMPORT}")
    yield from ((match.start(), match.end(), match.group()) for match in mention.finditer(source))


def lines(source: str) -> Iterator[Tuple[int, int, str]]:
    """Line, column (from 1) and text of each mention in a file that isn't read as Python."""
    starts: List[int] = [0, *(match.end() for match in re.finditer(r"\n", source))]
    number = 0
    for start, _, _ in _mentions(source):
        while number + 1 < len(starts) and starts[number + 1] <= start:
            number += 1
        end = starts[number + 1] if number + 1 < len(starts) else len(source)
        yield number + 1, start - starts[number] + 1, source[starts[number] : end].strip()
