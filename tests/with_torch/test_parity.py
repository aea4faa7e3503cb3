"""Verdicts on outputs: what agrees, what differs, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from conversion.models.model_spec import Tolerance
from conversion.models.parity import Recorded, compare

TRUE = torch.tensor([3.0, -1.0, 0.25], dtype=torch.float64) / 7
NARROW = TRUE.float()
STEP = 2.0**-25  # of a value between 0.25 and 0.5


def outputs(single: Any, double: Any, place: str = "['y']") -> Recorded:
    return Recorded(float32=[(place, single)], float64=[(place, double)])


OLD = outputs(NARROW, TRUE)
NAN = torch.tensor([float("nan"), 1.0], dtype=torch.float64)
WHOLE = torch.tensor([1, 2])
CASES: dict[str, tuple[Recorded, Recorded, bool, str]] = {
    "the same": (OLD, OLD, True, "1 output: in float64 old and new differ by 0.0e+00"),
    "a few bits": (OLD, outputs(NARROW, TRUE * (1 + 1e-15)), True, "(equal to the bit)"),
    "float64": (OLD, outputs(NARROW, TRUE * (1 + 1e-11)), False, "output ['y']: differs in float64 by 1.0e-11 of the"),
    "a step": (OLD, outputs(NARROW + STEP, TRUE), True, "(not equal to the bit)"),
    "float32": (OLD, outputs(NARROW * (1 + 1e-6), TRUE), False, "the new environment is 9.8e-07 of"),
    "tensor cores": (OLD, outputs(NARROW.bfloat16().float(), TRUE), False, "of the largest value off float64"),
    "as far as the old": (outputs(NARROW * (1 + 1e-5), TRUE), outputs(NARROW * (1 - 1e-5), TRUE), True, "1.0e-05"),
    "three times as far": (outputs(NARROW * (1 + 1e-5), TRUE), outputs(NARROW * (1 + 3e-5), TRUE), False, "2.0e-05 is"),
    "type": (OLD, outputs(NARROW, TRUE.float()), False, "in float64 was torch.float64, is torch.float32"),
    "type of float32": (OLD, outputs(NARROW.double(), TRUE), False, "in float32 was torch.float32, is torch.float64"),
    "shape": (OLD, outputs(NARROW[:2], TRUE[:2]), False, "had the shape (3,), has (2,)"),
    "place": (OLD, outputs(NARROW, TRUE, "['z']"), False, "the outputs had the places ['y'], have ['z']"),
    "nan": (outputs(NAN.float(), NAN), outputs(NAN.float(), NAN), True, "equal to the bit"),
    "nan elsewhere": (outputs(NAN.float(), NAN), outputs(NAN.float(), NAN.flip(0)), False, "NaN or infinity at other"),
    "nan in float32": (OLD, outputs(NARROW.clone().fill_(float("nan")), TRUE), False, "in float32 has NaN or infinity"),
    "infinity": (outputs(1 / NAN, 1 / (NAN - NAN)), outputs(1 / NAN, 1 / (NAN - NAN)), True, ""),
    "sign of infinity": (
        outputs(NARROW, torch.log(TRUE * 0)), outputs(NARROW, -torch.log(TRUE * 0)), False, "NaN or infinity"
    ),
    "whole": (outputs(WHOLE, WHOLE), outputs(WHOLE, WHOLE), True, ""),
    "another whole": (outputs(WHOLE, WHOLE), outputs(WHOLE, WHOLE + 1), False, "differs in float64 (2 of 2 values)"),
    "whole in float32": (outputs(WHOLE, WHOLE), outputs(WHOLE + 1, WHOLE), False, "differs in float32 (2 of 2 values)"),
    "order of float32": (outputs(WHOLE.flip(0), WHOLE), outputs(WHOLE, WHOLE), True, ""),
    "flag": (outputs(WHOLE > 1, WHOLE > 1), outputs(WHOLE > 1, WHOLE > 0), False, "differs in float64 (1 of 2 values)"),
    "complex": (
        outputs(torch.complex(NARROW, NARROW), torch.complex(TRUE, TRUE)),
        outputs(torch.complex(NARROW, NARROW), torch.complex(TRUE, TRUE * (1 + 1e-9))), False, "differs in float64 by",
    ),
    "empty": (outputs(NARROW[:0], TRUE[:0]), outputs(NARROW[:0], TRUE[:0]), True, ""),
    "all zero": (outputs(NARROW * 0, TRUE * 0), outputs(NARROW * 0, TRUE * 0), True, ""),
    "no longer zero": (outputs(NARROW * 0, TRUE * 0), outputs(NARROW * 0, TRUE * 1e-9), False, "differs in float64"),
    "float32 no longer zero": (outputs(NARROW * 0, TRUE * 0), outputs(NARROW * 1e-9, TRUE * 0), False, "0.0e+00 is"),
    "inputs": (outputs(WHOLE, WHOLE, "(inputs)"), outputs(WHOLE + 1, WHOLE + 1, "(inputs)"), False, "other inputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_verdict(name: str) -> None:
    old, new, agrees, said = CASES[name]
    verdict = compare(old, new)
    assert verdict.agrees is agrees, verdict.text
    assert said in verdict.text
    assert verdict.bitwise is ("(equal to the bit)" in verdict.text)


def test_luck_of_one_number_is_taken_over_several_inputs() -> None:
    def drawn(*errors: float) -> Recorded:
        pairs = [(f"~{n}" if n else "", torch.tensor(1 / 3).double()) for n in range(len(errors))]
        single = [(place, (value * (1 + error)).float()) for (place, value), error in zip(pairs, errors)]  # noqa: B905 - 3.8
        return Recorded(float32=single, float64=pairs)

    assert compare(drawn(0, 5e-7), drawn(6e-7, 0)).agrees
    verdict = compare(drawn(0, 5e-7), drawn(2e-6, 0))
    assert not verdict.agrees
    assert "1 output:" in verdict.text


def test_a_tolerance_is_named_with_its_reason() -> None:
    far = outputs(NARROW * (1 + 1e-5), TRUE * (1 + 1e-7))
    assert not compare(OLD, far).agrees
    assert not compare(OLD, far, Tolerance(reason="a test", float64=1e-6)).agrees
    verdict = compare(OLD, far, Tolerance(reason="a test", float64=1e-6, float32=1e-4))
    assert verdict.agrees
    assert verdict.text.endswith("; the recipe allows float64 1.0e-06, float32 1.0e-04: a test")
