"""Numbers of programs."""

from __future__ import annotations

import pytest

from bake.units import number_in


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_a_number_is_read(text: str, number: int) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "1.0", "\u00b2", "\u0663", "9" * 19, "9" * 5000])
def test_anything_else_is_none(text: str) -> None:
    assert number_in(text) is None
