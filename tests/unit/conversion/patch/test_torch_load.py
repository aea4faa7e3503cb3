"""What the codemod tells of a file, and the codemod against generated source."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.patch import torch_load
from conversion.patch.torch_load import transform


def test_an_edit_tells_its_place_and_line() -> None:
    result = transform("import torch\ndef g():\n    ä = 1; return torch.load(\n        f)\n".encode())
    (edit,) = result.edits
    assert (edit.line, edit.column) == (3, 19)
    assert (edit.before, edit.after) == ("f)", "f, weights_only=False)")


def test_a_bare_call_in_an_fstring_is_told_apart_from_what_may_be_right() -> None:
    (shown,) = transform(b'import torch\nf"{torch.load(a)=}"\n').undecided
    (unclear,) = transform(b"import torch\ntorch.load(a, **b)\n").undecided
    assert shown.bare
    assert not unclear.bare


# --- generated source ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["f", "größe", "a.b", "x[0]", '"ü)"', "'(,'", "b''", "(y)", "-1", "lambda: 0", "[i for i in j]"]
)
SPACES = st.sampled_from(["", " ", "\t", "\n", "\r\n", "  # note ), torch.load(\n", "\\\n", "\f"])
FUNCTIONS = st.sampled_from(["torch.load", "th.load", "fetch", "open", "np.load", "torch . load"])


@st.composite
def calls(draw: st.DrawFn, depth: int = 3) -> str:
    """A call with arguments of all kinds, in any layout."""
    arguments: list[str] = []
    for _ in range(draw(st.integers(0, 3))):
        value = draw(calls(depth=depth - 1)) if depth and draw(st.booleans()) else draw(NAMES)
        arguments.append(draw(SPACES) + value + draw(SPACES))
    order = ["*a", "map_location=g", "weights_only=h", "**k"]
    keywords = sorted(draw(st.sets(st.sampled_from(order), max_size=2)), key=order.index)
    arguments += [draw(SPACES) + item + draw(SPACES) for item in keywords]
    comma = "," + draw(SPACES) if len(arguments) > 0 and draw(st.booleans()) else ""
    return draw(FUNCTIONS) + "(" + draw(SPACES) + ",".join(arguments) + comma + ")"


@st.composite
def modules(draw: st.DrawFn) -> bytes:
    """A module of such calls, in one encoding."""
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = ["import torch, torch as th, numpy as np", "from torch import load as fetch"]
    layouts = st.sampled_from(["x = {}", "if a: s = 'ß🧠'; y = {}", "z = [{} for q in {{}}]"])
    lines += [draw(layouts).format(call) for call in draw(st.lists(calls(), min_size=1, max_size=3))]
    tail = draw(st.sampled_from(["", line_end]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig"]))
    return (line_end.join(lines) + tail).encode(encoding)


class Removed(ast.NodeTransformer):
    """Takes weights_only=False off every call."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        node.keywords = [item for item in node.keywords if item.arg != "weights_only"]
        return node


@given(modules())
def test_generated_source(source: bytes) -> None:
    result = transform(source)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        assert result.error is not None
        assert result.source == source
        return
    assert result.error is None
    assert transform(result.source).source == result.source
    assert not transform(result.source).edits
    assert spliced(source, result.source), "something besides the added argument changed"
    same = ast.dump(Removed().visit(ast.parse(result.source))) == ast.dump(Removed().visit(tree))
    assert same, "the syntax tree differs by more than the argument"
    assert result.source.count(b"weights_only=False") == len(result.edits)


def spliced(before: bytes, after: bytes) -> bool:
    """Whether `after` is `before` with nothing but the argument's texts inserted."""
    pieces = [b", weights_only=False", b" weights_only=False,", b" weights_only=False", b"weights_only=False"]
    reached = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        position, offset = pending.pop()
        if position == len(before) and offset == len(after):
            return True
        steps = [(position, offset + len(piece)) for piece in pieces if after.startswith(piece, offset)]
        if position < len(before) and before[position : position + 1] == after[offset : offset + 1]:
            steps.append((position + 1, offset + 1))
        for step in steps:
            if step not in reached:
                reached.add(step)
                pending.append(step)
    return False


@given(st.binary(max_size=200))
def test_any_bytes_give_a_result(source: bytes) -> None:
    result = transform(source)
    assert result.source == source or result.edits


@given(st.text(alphabet="torchlad.()=,f*:\n #'\"\\{}", max_size=60))
def test_any_text_gives_a_result(text: str) -> None:
    result = transform(b"import torch\n" + text.encode())
    assert result.error is not None or transform(result.source).source == result.source


WORDS = """
torch load getattr vars th = ( ) ( ) . . , : [ ] { } * ** lambda import from as def class global if else f x 'load'
'torch' '__dict__' __dict__ get setattr patch partial weights_only None True
"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\n", "\t"])


@given(st.lists(PIECES, max_size=14))
def test_any_words_of_the_language_give_a_result(words: list[str]) -> None:
    result = transform(b"import torch\nfrom functools import partial\n" + " ".join(words).encode())
    assert "can't be followed" not in str(result.error)
    assert result.error is not None or transform(result.source).source == result.source


def test_a_mistake_of_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_load, "Mentions", lambda *_: vars()["x"])
    assert transform(b"x = 1\n").error == "can't be followed by the codemod: KeyError: 'x'"
