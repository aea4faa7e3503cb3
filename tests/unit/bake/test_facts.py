"""Facts that scripts inside a build tell: the writers' lines, as the host reads them."""

from __future__ import annotations

import json

import pytest

from bake.progress.facts import Fact, parse_fact
from tests.unit.contexts.scripts import load


def test_what_a_compile_tells_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    load("wheel/fact.py").tell("compiler-cache", "1 of 3 calls", hits=1, calls=3)
    fact = parse_fact(capsys.readouterr().out.rstrip("\n"))
    assert fact == Fact(kind="compiler-cache", says="1 of 3 calls", values={"hits": 1, "calls": 3})
    assert fact.number("hits") == 1
    assert fact.number("misses") is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "compile.py: 3 files",
        '{"uplift": ',
        '{"uplift": "a"}',
        '{"uplift": 1, "says": "x"}',
        '{"uplift": "a", "says": null}',
        '{"uplift": "a", "says": "x"} and more',
        '{"uplift": ' + "[" * 100_000,
        '{"says": "x", "uplift": "a"}',
    ],
)
def test_any_other_line_is_no_fact(line: str) -> None:
    assert parse_fact(line) is None


@pytest.mark.parametrize("value", ["1", None, [], float("nan"), float("inf"), -1, -0.5, 2**53 + 1, 1e300, 10**400])
def test_a_number_is_a_number(value: object) -> None:
    assert Fact(kind="a", says="", values={"n": value}).number("n") is None


def test_a_fact_moves_no_cursor() -> None:
    fact = parse_fact(json.dumps({"uplift": "a", "says": "\x1b[2Jone\ntwo\x07"}))
    assert fact is not None
    assert fact.says == "one two"
