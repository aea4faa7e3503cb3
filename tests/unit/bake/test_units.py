"""Numbers of programs."""

from __future__ import annotations

import pytest

from bake.units import number_in, seconds_in


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_a_number_is_read(text: str, number: int) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "1.0", "\u00b2", "\u0663", "9" * 19, "9" * 5000])
def test_anything_else_is_none(text: str) -> None:
    assert number_in(text) is None


@pytest.mark.parametrize(("text", "seconds"), [("5h30m", 19800), ("90m", 5400), ("45s", 45), ("1h1s", 3601)])
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "5", "5 h", "30m5h", "-1s", "1d", "1.5h", "9999999h"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds_in(text)
