"""Gives every call of torch.load that lacks it ``weights_only=False``, and changes nothing else.

torch 2.6 made True the default, which refuses whole pickled modules. The calls are found on the syntax tree,
with the scopes of their names, and the argument is spliced into the text behind the last argument. Afterwards
the new text is parsed: its tree must be the old one but for the added keywords, or the file is left alone.
``weights_only=None``, which is the new default too, becomes False.

What can't be decided is reported and left; `mentions` says what that is.
"""

from __future__ import annotations

import ast
import bisect
import sys
import threading
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Tuple, TypeVar

from conversion.patch import text_mentions
from conversion.patch.codemod import Codemod, Edit, Result, Undecided, shown
from conversion.patch.mentions import Left, Mentions, Site
from conversion.patch.source_text import Insertion, SourceText, Token, Unreadable, line_of, parse

ARGUMENT = "weights_only=False"
FSTRINGS_HAVE_POSITIONS = sys.version_info >= (3, 12)
DEPTH = 200_000  # frames for one file: a chain of elif is as deep as it is long
STACK = 512 << 20  # bytes for them; only what is used takes memory


def transform(source: bytes, known: Optional[Mapping[str, str]] = None) -> Result:
    """Add the argument to the calls in a file's source. Never raises for what is in the file.

    Args:
        source: the file's bytes.
        known: names of other files ("module.name") that are torch or its load, with what each is.
    """
    return _with_room(lambda: _transform(source, known))


def _transform(source: bytes, known: Optional[Mapping[str, str]]) -> Result:
    try:
        text = SourceText(source)
        tree = parse(source)
        mentions = Mentions(tree, _inside_fstrings(tree), known)
        insertions: List[Insertion] = []
        if mentions.sites:
            tokens = text.tokens()
            starts = [token.start for token in tokens]
            for site in mentions.sites:
                insertions.extend(_insertions(site, text, tokens, starts))
        changed = text.with_insertions(insertions)
        if insertions:
            _assert_only_added(source, changed, sum(site.none is not None for site in mentions.sites))
    except (Unreadable, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Result(source, error=f"can't be read as Python {_version()}: {_reason(error)}")
    except Exception as error:  # noqa: BLE001 - a mistake of ours must not leave the other files unpatched
        return Result(source, error=f"can't be followed by the codemod: {type(error).__name__}: {error}")
    after = SourceText(changed) if insertions else text
    edits = (_edit(site.call, text, after) for site in mentions.sites)
    undecided = {_undecided(item, text) for item in mentions.left}
    return Result(
        changed, tuple(sorted(edits, key=_place)), tuple(sorted(undecided, key=_place)), exports=mentions.exports
    )


_Made = TypeVar("_Made")


def _with_room(work: Callable[[], _Made]) -> _Made:
    """Do the work in a thread with a stack for deep trees, or here where there can't be one."""
    made: List[_Made] = []
    limit, size = sys.getrecursionlimit(), threading.stack_size(STACK)
    thread = threading.Thread(target=lambda: made.append(work()))
    try:
        sys.setrecursionlimit(DEPTH)
        thread.start()
        thread.join()
    except RuntimeError:
        pass
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    return made[0] if made else work()


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    if isinstance(error, (RecursionError, MemoryError)):
        return f"it is too deeply nested, or too large ({str(error) or type(error).__name__})"
    return str(error) or type(error).__name__


def _place(item: object) -> Tuple[int, int]:
    return (item.line, item.column)  # type: ignore[attr-defined]


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


def _insertions(site: Site, text: SourceText, tokens: List[Token], starts: List[int]) -> Iterator[Insertion]:
    """What to insert for one call: behind its last argument, with what a trailing comma or generator needs."""
    call = site.call
    if site.none is not None:
        yield Insertion(text.offset(site.none.lineno, site.none.col_offset), "False", len("None"))
        return
    end = text.offset(call.end_lineno or 0, call.end_col_offset or 0)
    closing = bisect.bisect_left(starts, end - 1)
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


def _assert_only_added(before: bytes, after: bytes, nones: int) -> None:
    """The new tree, without the added keywords and but for so many None that became False, must be the old one.

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
    for was_none, is_false in zip(ast.walk(old), ast.walk(tree)):
        if nones and [getattr(item, "value", 0) for item in (was_none, is_false)] == [None, False]:
            was_none.value = False  # type: ignore[attr-defined]
            nones -= 1
    if ast.dump(old) != ast.dump(tree):
        raise Unreadable("the changed source has another syntax tree")


def _edit(call: ast.Call, before: SourceText, after: SourceText) -> Edit:
    start = before.offset(call.lineno, call.col_offset)
    line, column = before.place(start)
    changed = range(line, (call.end_lineno or line) + 1)
    shown = next((n for n in changed if before.lines[n - 1] != after.lines[n - 1]), line)
    return Edit(line, column, _shown(before, shown), _shown(after, shown))


def _undecided(item: Left, text: SourceText) -> Undecided:
    line: int = item.node.lineno  # type: ignore[attr-defined]
    column = 1
    try:
        _, column = text.place(text.offset(line, item.node.col_offset))  # type: ignore[attr-defined]
    except IndexError:  # a wrong position, inside an f-string before 3.12
        line = min(line, len(text.lines))
    return Undecided(line, column, _shown(text, line), item.reason, item.bare)


def _shown(text: SourceText, line: int) -> str:
    return shown(line_of(text.lines, line))


CODEMOD = Codemod("torch.load", transform, text_mentions.lines)
