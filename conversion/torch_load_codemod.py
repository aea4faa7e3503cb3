"""Gives every call of torch.load that lacks it ``weights_only=False``, and changes nothing else.

torch 2.6 made True the default, which refuses whole pickled modules. The calls are found on the syntax tree,
with the scopes of their names, and the argument is spliced into the text behind the last argument. Afterwards
the new text is parsed: its tree must be the old one but for the added keywords, or the file is left alone.

What can't be decided is reported and left: a call with ``**keywords`` (which may bring the argument), a name
that may or may not be torch's, torch.load that is passed on instead of called, a call inside an f-string
where Python gives wrong positions (before 3.12) or shows the source (``{call=}``).
"""

from __future__ import annotations

import ast
import bisect
import sys
import warnings
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Set, Tuple

from conversion.scopes import LOADS, OTHER, Scope, ScopeBuilder
from conversion.source_text import Insertion, SourceText, Token, Unreadable, line_of

ARGUMENT = "weights_only=False"
FSTRINGS_HAVE_POSITIONS = sys.version_info >= (3, 12)


@dataclass(frozen=True)
class Edit:
    """A changed call: its place (from 1, columns in characters) and the first changed line, before and after."""

    line: int
    column: int
    before: str
    after: str


@dataclass(frozen=True)
class Undecided:
    """A place that a person has to look at.

    Attributes:
        line, column: from 1.
        code: the line.
        reason: why it was left.
        bare: True where torch.load certainly runs without the argument.
    """

    line: int
    column: int
    code: str
    reason: str
    bare: bool = False


@dataclass(frozen=True)
class Result:
    """What the codemod made of one file; `source` is the given bytes where nothing was changed."""

    source: bytes
    edits: Tuple[Edit, ...] = ()
    undecided: Tuple[Undecided, ...] = ()
    error: Optional[str] = None


def transform(source: bytes) -> Result:
    """Add the argument to the calls in a file's source. Never raises for what is in the file."""
    try:
        text = SourceText(source)
        tree = parse(source)
        search = _Search(tree, text)
        insertions: List[Insertion] = []
        tokens = text.tokens() if search.calls else []
        for call in search.calls:
            insertions.extend(_insertions(call, text, tokens))
        changed = text.with_insertions(insertions)
        if insertions:
            _assert_only_added(source, changed)
    except (Unreadable, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Result(source, error=f"can't be read as Python {_version()}: {_reason(error)}")
    edits = tuple(_edit(call, text, SourceText(changed)) for call in search.calls)
    return Result(changed, tuple(sorted(edits, key=_place)), tuple(sorted(search.undecided, key=_place)))


def parse(source: bytes) -> ast.Module:
    """The tree of a file's bytes, without the warnings that old source gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return str(error) or type(error).__name__


def _place(item: object) -> Tuple[int, int]:
    return (item.line, item.column)  # type: ignore[attr-defined]


class _Search:
    """Finds the calls to change, and what can't be decided."""

    def __init__(self, tree: ast.Module, text: SourceText) -> None:
        self.text = text
        self.calls: List[ast.Call] = []
        self.undecided: List[Undecided] = []
        self._scopes: Dict[ast.AST, Scope] = ScopeBuilder(tree).scope_of
        self._functions: Set[ast.AST] = set()  # the func nodes of calls, which are no bare references
        in_strings = _inside_fstrings(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._call(node, in_strings.get(node))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Attribute, ast.Name)) and node not in self._functions:
                self._reference(node)

    def _meanings(self, node: ast.AST) -> List[str]:
        scope = self._scopes.get(node)
        return sorted(scope.dotted(node)) if scope is not None else []

    def _call(self, node: ast.Call, fstring: Optional[str]) -> None:
        if self._is_partial(node) or self._is_getattr(node):
            return
        meanings = self._meanings(node.func)
        if not LOADS.intersection(meanings):
            return
        self._functions.add(node.func)
        given = _given(node)
        if given:
            return
        unclear = [name for name in meanings if name not in LOADS]
        if unclear:
            others = " or ".join("something else" if name == OTHER else name for name in unclear)
            self._leave(node, f"the name may be torch.load or {others}")
        elif given is None:
            self._leave(node, "its ** argument may bring weights_only")
        elif fstring is not None:
            self._leave(node, fstring, bare=True)
        else:
            self.calls.append(node)

    def _is_partial(self, node: ast.Call) -> bool:
        """``functools.partial(torch.load, weights_only=…)`` is decided; without the keyword it is a reference."""
        if "functools.partial" not in self._meanings(node.func) or not node.args:
            return False
        if LOADS.intersection(self._meanings(node.args[0])) and _given(node):
            self._functions.add(node.args[0])
        return True

    def _is_getattr(self, node: ast.Call) -> bool:
        if not (isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1):
            return False
        name = node.args[1]
        if isinstance(name, ast.Constant) and name.value == "load" and "torch" in self._meanings(node.args[0]):
            self._leave(node, "torch.load is fetched by its name")
        return True

    def _reference(self, node: ast.AST) -> None:
        if not LOADS.intersection(self._meanings(node)):
            return
        context = getattr(node, "ctx", None)
        if isinstance(context, ast.Load):
            self._leave(node, "torch.load is passed on, not called here")
        elif isinstance(node, ast.Attribute) and isinstance(context, ast.Store):
            self._leave(node, "torch.load is replaced here")

    def _leave(self, node: ast.AST, reason: str, bare: bool = False) -> None:
        line: int = node.lineno  # type: ignore[attr-defined]
        column = 1
        try:
            _, column = self.text.place(self.text.offset(line, node.col_offset))  # type: ignore[attr-defined]
        except (IndexError, UnicodeDecodeError):  # a wrong position, inside an f-string before 3.12
            line = min(line, len(self.text.lines))
        code = line_of(self.text.lines, line).strip()
        self.undecided.append(Undecided(line, column, code, reason, bare))


def _given(node: ast.Call) -> Optional[bool]:
    """Whether the call passes weights_only; None where ``**`` may bring it."""
    unknown = False
    for keyword in node.keywords:
        if keyword.arg == "weights_only":
            return True
        if keyword.arg is None:
            if not isinstance(keyword.value, ast.Dict):
                unknown = True
                continue
            for key in keyword.value.keys:
                if not isinstance(key, ast.Constant):
                    unknown = True
                elif key.value == "weights_only":
                    return True
    return None if unknown else False


def _inside_fstrings(tree: ast.Module) -> Dict[ast.AST, str]:
    """The nodes inside f-strings that can't be changed there, each with the reason."""
    reasons: Dict[ast.AST, str] = {}
    for string in ast.walk(tree):
        if not isinstance(string, ast.JoinedStr):
            continue
        for index, part in enumerate(string.values):
            if not isinstance(part, ast.FormattedValue):
                continue
            before = string.values[index - 1] if index else None
            shown = isinstance(before, ast.Constant) and str(before.value).rstrip().endswith("=")
            for node in ast.walk(part):
                if not FSTRINGS_HAVE_POSITIONS:
                    reasons[node] = f"it is inside an f-string, where Python {_version()} gives no right position"
                elif shown:
                    reasons[node] = "it is inside an f-string that may show its own source ({…=})"
    return reasons


def _insertions(call: ast.Call, text: SourceText, tokens: List[Token]) -> Iterator[Insertion]:
    """What to insert for one call: behind its last argument, with what a trailing comma or generator needs."""
    end = text.offset(call.end_lineno or 0, call.end_col_offset or 0)
    closing = bisect.bisect_left([token.start for token in tokens], end - 1)
    if closing >= len(tokens) or tokens[closing].start != end - 1 or tokens[closing].text != ")":
        raise Unreadable(f"line {call.lineno}: no closing parenthesis where the syntax tree has one")
    last = tokens[closing - 1]
    if len(call.args) == 1 and not call.keywords and _is_bare_generator(call, call.args[0]):
        argument = call.args[0]
        yield Insertion(text.offset(argument.lineno, argument.col_offset) + 1, "(")
        yield Insertion(last.end, f"), {ARGUMENT}")
    elif not call.args and not call.keywords:
        yield Insertion(last.end, ARGUMENT)
    elif last.text == ",":
        same_line = "\n" not in text.text[last.end : end] and "\r" not in text.text[last.end : end]
        yield Insertion(last.end, f" {ARGUMENT}" if same_line else f" {ARGUMENT},")
    else:
        yield Insertion(last.end, f", {ARGUMENT}")


def _is_bare_generator(call: ast.Call, argument: ast.AST) -> bool:
    """Whether the only argument is a generator that shares the call's parentheses."""
    return isinstance(argument, ast.GeneratorExp) and (argument.end_lineno, argument.end_col_offset) == (
        call.end_lineno,
        call.end_col_offset,
    )


def _assert_only_added(before: bytes, after: bytes) -> None:
    """The new tree, without the added keywords, must be the old one.

    Raises:
        Unreadable: it is not.
    """
    tree = parse(after)
    old = parse(before)
    search_old = [node for node in ast.walk(old) if isinstance(node, ast.Call)]
    search_new = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if len(search_old) != len(search_new):
        raise Unreadable("the changed source has other calls")
    for was, now in zip(search_old, search_new):
        if len(now.keywords) == len(was.keywords) + 1 and now.keywords[-1].arg == "weights_only":
            now.keywords.pop()
    if ast.dump(old) != ast.dump(tree):
        raise Unreadable("the changed source has another syntax tree")


def _edit(call: ast.Call, before: SourceText, after: SourceText) -> Edit:
    start = before.offset(call.lineno, call.col_offset)
    line, column = before.place(start)
    changed = range(line, (call.end_lineno or line) + 1)
    differing = [n for n in changed if line_of(before.lines, n) != line_of(after.lines, n)]
    shown = differing[0] if differing else line
    return Edit(line, column, line_of(before.lines, shown).strip(), line_of(after.lines, shown).strip())
