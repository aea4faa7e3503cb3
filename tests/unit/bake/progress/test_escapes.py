"""What terminals and CI systems obey does not come out of a log, a name or an answer."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from bake.assets.shown import Lines
from bake.progress.console import SafeConsole
from bake.progress.display import JsonLines, PlainLines
from bake.progress.escapes import printable, printable_document
from bake.progress.events import BakeStarted, State, Step, StepEnded, StepKind, Warned
from bake.progress.live import LiveTable

OBEYED = re.compile(r"^\s*::|##\w*\[|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", re.MULTILINE)
HOSTILE = [
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[1;1H",
    "\x9b31m",
    "\x1bP+q\x1b\\",
    "a\rb",
    "\u202etxt.exe",
    "::error::x",
    "  ::add-mask::x",
    "\x1b[0m::stop-commands::x",
    "\u00a0::set-env name=A::x",
    "x\n::error::y",
    "##[add-mask]x",
    "# \x1b[m##vso[task.setvariable]x",
    "#\x1b[m#[error]x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_is_obeyed_is_left(text: str) -> None:
    assert not OBEYED.search(printable(text))


@given(st.text(st.sampled_from("\x1b[]P\\:#mv0;\n \t\x07\x9bx\u202e"), max_size=30))
def test_nothing_that_is_obeyed_is_left_of_any_mixture(text: str) -> None:
    once = printable(text)
    assert not OBEYED.search(once)
    assert printable(once) == once


@given(st.text(st.sampled_from('\x1b[]P\\:#mv0;\n \t\x07\x9bx\u202e<&"'), max_size=30))
def test_nothing_that_is_obeyed_is_left_of_a_document(text: str) -> None:
    document = json.dumps({text: text}, indent=1, ensure_ascii=False)
    assert not OBEYED.search(printable_document(document))
    assert json.loads(printable_document(document)) == {text: text}


@pytest.mark.parametrize("text", HOSTILE)
def test_progress_for_programs_is_obeyed_by_nobody(text: str) -> None:
    stream = io.StringIO()
    JsonLines(stream)(Warned(at=0.0, message=text))
    assert not OBEYED.search(stream.getvalue())
    assert json.loads(stream.getvalue())["message"] == text


@pytest.mark.parametrize("text", ["a\tb\n\nc", "at::native::x", "héé ✓ 中", "# [x] ## y", ""])
def test_other_text_stays(text: str) -> None:
    assert printable(text) == text


def step(label: str, error: str = "") -> Step:
    return Step(
        digest="d",
        name=label,
        target="image",
        owner="image",
        stage="",
        position=None,
        label=label,
        kind=StepKind.INSTRUCTION,
        state=State.FAILED,
        started=0.0,
        completed=1.0,
        error=error,
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_a_progress_display_shows_it_as_text(text: str) -> None:
    events = (BakeStarted(at=0, targets=(text,)), Warned(at=1, message=text), StepEnded(at=1, step=step(text)))
    stream = io.StringIO()
    plain = PlainLines(stream)
    for event in events:
        plain(event)
    Lines(stream).said(text)
    assert not OBEYED.search(stream.getvalue())
    assert stream.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_shows_it_as_text(text: str) -> None:
    stream = io.StringIO()
    table = Table(title=text)
    table.add_row(Text(text), text)
    console = SafeConsole(file=stream, width=80)
    console.print(table)
    console.print(text, markup=False)
    live = LiveTable(stream, {}, width=80)
    live(StepEnded(at=1, step=step(text)))
    live(Warned(at=1, message=text))
    live.console.print(live.render())
    assert not OBEYED.search(stream.getvalue())


def test_colours_of_our_own_stay() -> None:
    stream = io.StringIO()
    SafeConsole(file=stream, force_terminal=True, color_system="standard").print(Text("FAIL", style="red"))
    assert stream.getvalue() == "\x1b[31mFAIL\x1b[0m\n"
