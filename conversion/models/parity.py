"""Compares a probe's outputs of two environments, by what double precision says is true.

One torch does not compute the same float32 bits as another, on another processor not even where it did on this one. In
float64 both must give the same up to the last few bits; and in float32 the new environment must be as near to that as
the old one is. No number has to be chosen; a recipe's tolerance is the exception, and has a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import torch

from conversion.models.model_spec import Tolerance
from conversion.models.outputs import DRAW, INPUTS, Outputs

FLOAT64 = 1e-12  # of an output's largest value
FLOAT32 = 2.0  # times the old environment's distance from float64
_DRAWS = re.compile(DRAW + r"\d+")
STEPS = 4  # of rounding, of an output's largest value: below that it is chance which environment is nearer


@dataclass(frozen=True)
class Recorded:
    """The outputs of one environment in both precisions: pairs of place and tensor."""

    float32: Outputs
    float64: Outputs


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison; differences are the largest ones, relative to each output's largest value.

    Attributes:
        agrees: whether the new environment computes what the old one did.
        text: the outcome in words, with every output that differs.
        float64: between the environments, in double precision; infinite where they can't be compared.
        old_error, new_error: between single and double precision, in the old and in the new environment.
        bitwise: whether the outputs in single precision are equal to the bit.
    """

    agrees: bool
    text: str
    float64: float
    old_error: float
    new_error: float
    bitwise: bool


@dataclass(frozen=True)
class _Output:
    """What is said of one output; ``step``: a rounding step of its largest value, relative to it."""

    place: str
    problem: str = ""
    float64: float = 0.0
    old_error: float = 0.0
    new_error: float = 0.0
    step: float = 0.0


def compare(old: Recorded, new: Recorded, tolerance: Optional[Tolerance] = None) -> Verdict:
    """Compare what the old environment recorded with what the new one did."""
    for precision in ("float64", "float32"):
        before, after = getattr(old, precision), getattr(new, precision)
        if [place for place, _ in before] != [place for place, _ in after]:
            text = f"in {precision} the outputs had the places {_places(before)}, have {_places(after)}"
            return Verdict(False, text, float("inf"), float("inf"), float("inf"), False)
    allowed64 = FLOAT64 if tolerance is None or tolerance.float64 is None else tolerance.float64
    allowed32 = 0.0 if tolerance is None or tolerance.float32 is None else tolerance.float32
    found = _pooled(_outputs(old, new, allowed64), allowed32)
    bitwise = all(same_bits(a, b) for (_, a), (_, b) in zip(old.float32, new.float32))
    problems = [output.problem for output in found if output.problem]
    figures = (
        max((output.float64 for output in found), default=0.0),
        max((output.old_error for output in found), default=0.0),
        max((output.new_error for output in found), default=0.0),
    )
    places = {_DRAWS.sub("", place) for place, _ in old.float64 if not place.endswith(INPUTS)}
    words = _words(figures, len(places), bitwise)
    if tolerance is not None:
        pairs = (("float64", tolerance.float64), ("float32", tolerance.float32))
        given = [f"{name} {value:.1e}" for name, value in pairs if value is not None]
        words += f"; the recipe allows {', '.join(given)}: {tolerance.reason}"
    return Verdict(not problems, "; ".join([*problems, words]), *figures, bitwise=bitwise)


def _words(figures: Tuple[float, float, float], count: int, bitwise: bool) -> str:
    double, old_error, new_error = figures
    bits = "equal to the bit" if bitwise else "not equal to the bit"
    counted = "1 output" if count == 1 else f"{count} outputs"
    return (
        f"{counted}: in float64 old and new differ by {double:.1e} of the largest value; "
        f"in float32 the old environment is {old_error:.1e} from float64, the new one {new_error:.1e} ({bits})"
    )


def _places(outputs: Outputs) -> str:
    return ", ".join(place or "(one)" for place, _ in outputs)


def _outputs(old: Recorded, new: Recorded, allowed64: float) -> List[_Output]:
    if [place for place, _ in old.float32] == [place for place, _ in old.float64]:
        every = zip(old.float32, old.float64, new.float32, new.float64)
        return [_one(a[0], (a[1], b[1], c[1], d[1]), allowed64) for a, b, c, d in every]
    double = [_double(place, a, b, allowed64) for (place, a), (_, b) in zip(old.float64, new.float64)]
    # The model gives other outputs in single precision: there is nothing true to measure these against.
    single = [
        _Output(place, "" if same_bits(a, b) else f"{_named(place)}: differs in float32, has no float64 beside it")
        for (place, a), (_, b) in zip(old.float32, new.float32)
    ]
    return double + single


def _one(place: str, outputs: Tuple[Any, ...], allowed64: float) -> _Output:
    old32, old64, new32, new64 = outputs
    double = _double(place, old64, new64, allowed64)
    if double.problem:
        return double
    kind = unlike(old32, new32)
    if kind:
        return _Output(place, f"{_named(place)}: in float32 {kind}", double.float64)
    if old32.shape != old64.shape or exact(old64) or exact(old32):
        if same_bits(old32, new32) or same_bits(new32, new64):
            return double
        return _Output(place, f"{_named(place)}: differs in float32 ({_count(old32, new32)})", double.float64)
    scale = largest(old64) or 1.0
    old_error, new_error = gap(old32, old64) / scale, gap(new32, new64 if allowed64 > FLOAT64 else old64) / scale
    step = max(torch.finfo(_real(new32).dtype).eps, torch.finfo(torch.float32).eps)
    return _Output(place, "", double.float64, old_error, new_error, step if largest(old64) else 0.0)


def _pooled(outputs: List[_Output], allowed32: float) -> List[_Output]:
    """The outputs, with a problem for each whose error is too large; what several draws gave is one output."""
    pools: Dict[str, List[_Output]] = {}
    for output in outputs:
        pools.setdefault(_DRAWS.sub("", output.place), []).append(output)
    found: List[_Output] = []
    for place, pool in pools.items():
        found.extend(pool)
        old_error, new_error, step = (
            max(getattr(output, name) for output in pool) for name in ("old_error", "new_error", "step")
        )
        bound = max(FLOAT32 * old_error, step, allowed32)
        if not new_error <= bound:
            text = (
                f"{_named(place)}: in float32 the new environment is {new_error:.1e} of the largest value off float64, "
                f"the old one {old_error:.1e}; {bound:.1e} is allowed"
            )
            found.append(_Output(place, text))
    return found


def _named(place: str) -> str:
    return f"output {place or '(one)'}"


def _double(place: str, old: Any, new: Any, allowed: float) -> _Output:
    """What is said of one output in double precision."""
    if place.endswith(INPUTS):
        return _Output(place, "" if same_bits(old, new) else f"{place}: the probe was given other inputs")
    here = _named(place)
    kind = unlike(old, new)
    if kind:
        return _Output(place, f"{here}: in float64 {kind}", float("inf"))
    if exact(old):
        return _Output(place, "" if same_bits(old, new) else f"{here}: differs in float64 ({_count(old, new)})")
    top = largest(old)
    apart = gap(old, new) / (top or 1.0)
    problem = "" if apart <= allowed else f"{here}: differs in float64 by {apart:.1e} of the largest value, {top:.3g}"
    return _Output(place, problem, apart)


def unlike(old: Any, new: Any) -> str:
    """How two tensors differ before their values are looked at: type, shape, NaN and infinities."""
    if old.dtype != new.dtype:
        return f"was {old.dtype}, is {new.dtype}"
    if old.shape != new.shape:
        return f"had the shape {tuple(old.shape)}, has {tuple(new.shape)}"
    if not exact(old):
        for before, after in zip(_specials(old), _specials(new)):
            if not torch.equal(before, after):
                return f"has NaN or infinity at other places ({_count(before, after)})"
    return ""


def _real(value: Any) -> Any:
    return torch.view_as_real(value) if value.is_complex() else value


def _specials(value: Any) -> Tuple[Any, ...]:
    real = _real(value).double()
    return real.isnan(), real == float("inf"), real == -float("inf")


def exact(value: Any) -> bool:
    """Whether a tensor's values are no approximations."""
    return not (value.is_floating_point() or value.is_complex())


def _finite(value: Any) -> Any:
    """The values as doubles, with NaN and infinities as zero."""
    real = _real(value).double()
    return torch.where(real.isfinite(), real, torch.zeros_like(real))


def largest(value: Any) -> float:
    """The largest absolute value that is finite."""
    return float(_finite(value).abs().max()) if value.numel() else 0.0


def gap(one: Any, other: Any) -> float:
    """The largest absolute difference where both are finite."""
    both = _real(one).double().isfinite() & _real(other).double().isfinite()
    apart = (_finite(one) - _finite(other)).abs() * both
    return float(apart.max()) if apart.numel() else 0.0


def _count(old: Any, new: Any) -> str:
    if old.shape != new.shape:
        return f"{tuple(old.shape)} and {tuple(new.shape)}"
    return f"{int((old != new).sum())} of {old.numel()} values"


def same_bits(old: Any, new: Any) -> bool:
    """Whether two plain tensors have the same type, shape and bytes (so NaN equals itself, and -0.0 isn't 0.0)."""
    if old.dtype != new.dtype or old.shape != new.shape:
        return False
    if not old.numel():
        return True
    return bool(torch.equal(*(value.contiguous().reshape(-1).view(torch.uint8) for value in (old, new))))
