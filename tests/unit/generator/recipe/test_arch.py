from __future__ import annotations

import pytest

from generator.recipe.arch import parse_arch, parse_arch_list, unsupported


@pytest.mark.parametrize(
    ("text", "sm"), [("12.0", "sm_120"), ("8.6", "sm_86"), ("9.0a", "sm_90a"), (" 10.3 ", "sm_103")]
)
def test_reads_a_capability(text: str, sm: str) -> None:
    assert parse_arch(text).sm == sm


def test_keeps_the_ptx_wish() -> None:
    assert str(parse_arch("8.6+PTX")) == "8.6+PTX"
    assert parse_arch("8.6+PTX").ptx


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("12", 'write "12.0"'),
        ("sm_120", 'write "12.0"'),
        ("compute_86", 'write "8.6"'),
        ("120", 'write "12.0"'),
        ("sm_999", "known are 5.0"),
        ("", "known are 5.0"),
        ("9.9", "known are 5.0"),
        ("９.0", "known are 5.0"),
    ],
)
def test_says_what_to_write_instead(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="is not a compute capability") as caught:
        parse_arch(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize("text", ["9.0;12.0", "9.0 12.0", "9.0, 12.0", "9.0;12.0;9.0;"])
def test_lists_are_separated_as_torch_does(text: str) -> None:
    assert [str(arch) for arch in parse_arch_list(text)] == ["9.0", "12.0"]


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        parse_arch_list(" ; ")


@pytest.mark.parametrize(
    ("arch", "cuda", "reason"),
    [
        ("12.0", "11.8", "CUDA 12.8 was the first"),
        ("7.0", "13.0", "CUDA 12.9 was the last"),
        ("12.0", "12.8", None),
        ("12.0", "13.0", None),
        ("8.0", "13.0", None),
    ],
)
def test_knows_which_toolkit_compiles_for_what(arch: str, cuda: str, reason: str | None) -> None:
    said = unsupported(parse_arch(arch), cuda)
    assert said is None if reason is None else reason in (said or "")
