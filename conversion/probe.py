"""Probe inputs: the same values whatever the torch version, since no generator of torch makes them.

The numbers come from Python's own Mersenne Twister, whose `random()` gives the same sequence for a seed on
every Python 3. The inputs are stored with the recorded outputs all the same, so that both sides run on the
same bytes.
"""

from __future__ import annotations

import hashlib
import math
import random
from typing import Any, Dict, List, Tuple

import torch

from conversion.attributes import lookup
from conversion.failures import ConversionError
from conversion.models import Probe, ProbeInput, Size


def make_inputs(probe: Probe, module: Any) -> Dict[str, Any]:
    """The keyword arguments of the probe's forward call, as CPU tensors.

    Raises:
        ConversionError: a named size can't be read from the module.
    """
    sizes = {name: _resolve(name, size, module) for name, size in probe.sizes.items()}
    inputs: Dict[str, Any] = {}
    for item in probe.inputs:
        shape = tuple(sizes[dim] if isinstance(dim, str) else dim for dim in item.shape)
        values = values_for(item, shape, probe.seed)
        inputs[item.name] = torch.tensor(values, dtype=getattr(torch, item.dtype)).reshape(shape)
    return inputs


def _resolve(name: str, size: Size, module: Any) -> int:
    if size.fixed is not None:
        return size.fixed
    value = lookup(module, str(size.attribute))
    if size.values is None:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        raise ConversionError(f"the probe's size {name} is the attribute {size.attribute}, which is {value!r}")
    if str(value) not in size.values:
        raise ConversionError(
            f"the probe's size {name} has no value for {size.attribute} = {value!r}; "
            f"it has them for {', '.join(size.values)}"
        )
    return size.values[str(value)]


def values_for(item: ProbeInput, shape: Tuple[int, ...], seed: int) -> List[float]:
    """The values of one input, flat, in C order; they depend on the seed, the input's name and the shape alone."""
    digest = hashlib.sha256(f"{seed}:{item.name}".encode()).digest()
    draw = random.Random(int.from_bytes(digest[:8], "big")).random  # noqa: S311 - test data
    count = math.prod(shape)
    if item.distribution == "zeros":
        return [0.0] * count
    if item.distribution == "ones":
        return [item.scale] * count
    if item.distribution == "uniform":
        return [draw() * item.scale for _ in range(count)]
    if item.distribution == "integers":
        return [float(int(draw() * item.scale)) for _ in range(count)]
    if item.distribution == "sphere":
        return _on_sphere(draw, shape, item.scale)
    return [_normal(draw) * item.scale for _ in range(count)]


def _normal(draw: Any) -> float:
    """One standard normal value, by Box and Muller's formula."""
    radius = math.sqrt(-2.0 * math.log(1.0 - draw()))
    return radius * math.cos(2.0 * math.pi * draw())


def _on_sphere(draw: Any, shape: Tuple[int, ...], scale: float) -> List[float]:
    """Points spread evenly over the sphere of radius `scale`, one per row of the last dimension."""
    width = shape[-1] if shape else 1
    values: List[float] = []
    for _ in range(math.prod(shape[:-1])):
        row = [_normal(draw) for _ in range(width)]
        length = math.sqrt(sum(value * value for value in row)) or 1.0
        values.extend(value / length * scale for value in row)
    return values
