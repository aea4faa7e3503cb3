from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.failures import ConversionError
from conversion.verify import archs


def test_a_torch_arch_list() -> None:
    assert archs.arch_list("8.0;9.0, 12.0+PTX;") == ["8.0", "9.0", "12.0"]


@pytest.mark.parametrize(
    ("arch", "available", "expected"),
    [
        ("9.0", ["90"], "90"),
        ("9.0", ["90", "90a"], "90"),
        ("9.0", ["90a"], "90a"),
        ("9.0", ["80", "86", "100"], None),
        ("9.0a", ["90"], None),
        ("9.0a", ["90a"], "90a"),
        ("8.6", ["80", "90"], "80"),
        ("8.9", ["80", "86", "90"], "86"),
        ("8.0", ["86"], None),
        ("12.0", ["100", "120"], "120"),
        ("12.0", ["100f", "120f"], "120f"),
        ("12.1", ["120"], "120"),
        ("12.1", ["120f"], "120f"),
        ("12.1", ["120a"], None),
        ("12.0", [], None),
    ],
)
def test_what_serves_an_arch(arch: str, available: list[str], expected: str | None) -> None:
    assert archs.serving(arch, available) == expected


@given(st.integers(5, 15), st.integers(0, 9), st.lists(st.tuples(st.integers(5, 15), st.integers(0, 9))))
def test_only_the_same_major_and_no_later_minor_serves(
    major: int, minor: int, available: list[tuple[int, int]]
) -> None:
    found = archs.serving(f"{major}.{minor}", [f"{a}{b}" for a, b in available])
    fitting = [(a, b) for a, b in available if a == major and b <= minor]
    assert found == (f"{major}{max(fitting)[1]}" if fitting else None)


@pytest.mark.parametrize("arch", ["12", "sm_120", "12.0.0", "", "9.0b"])
def test_what_is_no_arch(arch: str) -> None:
    with pytest.raises(ConversionError, match="no compute capability"):
        archs.sm_name(arch)
