from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.render.hcl import hcl_aligned, hcl_line, hcl_string


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", '"plain"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines", '"two\\nlines"'),
        ("${HOME}", '"$${HOME}"'),
        ("%{if}", '"%%{if}"'),
        ("$${x}", '"$$${x}"'),
        ("$x %y", '"$x %y"'),
        ("\x07", '"\\u0007"'),
        ("ü→", '"ü→"'),
    ],
)
def test_quotes(text: str, literal: str) -> None:
    assert hcl_string(text) == literal


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_hcl_string_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can't hold"):
        hcl_string(text)


@given(st.text())
def test_a_comment_is_one_line(text: str) -> None:
    assert len(f"# {hcl_line(text)}".splitlines()) == 1


def test_equals_signs_of_neighbours_stand_below_each_other() -> None:
    text = """target "a" {
  inherits = ["_common"]
  context-folder = "x = y"
  contexts = {
    base = "b"
    "a.b" = CACHE == "" ? null : CACHE
  }
  cache-to = given_or(A,
    B == "")

  args = concat([
    A
  ])
}
"""
    assert (
        hcl_aligned(text)
        == """target "a" {
  inherits       = ["_common"]
  context-folder = "x = y"
  contexts = {
    base  = "b"
    "a.b" = CACHE == "" ? null : CACHE
  }
  cache-to = given_or(A,
    B == "")

  args = concat([
    A
  ])
}
"""
    )
