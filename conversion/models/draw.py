"""The probe's inputs: the same bits whatever the torch version, since no generator of torch makes them.

A value is a hash of its place: integer arithmetic, then additions, products, divisions and square roots of doubles,
each an operation of its own, which IEEE 754 defines to the bit. It depends on the seed, the name of the input and the
shape alone.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import torch

from conversion.failures import ConversionError
from conversion.models.probe_spec import Drawn, Given, Input, Nested, Number

_MASK = 2**32 - 1


class Stream:
    """Numbers that a text names; each call of `words` gives others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0

    def words(self, count: int) -> Any:
        """``count`` whole numbers below 2 ** 32, as an int64 tensor."""
        digest = hashlib.sha256(f"{self.name}:{self.calls}".encode()).digest()
        self.calls += 1
        first, second = (int.from_bytes(digest[i : i + 4], "big") for i in (0, 4))
        places = torch.arange(count, dtype=torch.int64)
        return _mixed(_mixed((places & _MASK) ^ first) ^ ((places >> 32) + second & _MASK))

    def uniform(self, count: int) -> Any:
        """``count`` doubles from 0 (inclusive) to 1 (exclusive)."""
        high, low = self.words(count) >> 5, self.words(count) >> 6
        return (high.to(torch.float64) * 2.0**26 + low.to(torch.float64)) / 2.0**53

    def normal(self, count: int) -> Any:
        """``count`` doubles of mean 0 and variance 1: sums of twelve uniform ones."""
        total = torch.zeros(count, dtype=torch.int64)
        for _ in range(12):
            total += self.words(count)
        return (total - 6 * 2**32).to(torch.float64) / 2.0**32


def _mixed(words: Any) -> Any:
    """Hashes of whole numbers below 2 ** 32; the factors are below 2 ** 31, so that no product overflows."""
    for shift, factor in ((17, 0x7FEB352D), (11, 0x31848BAB), (15, 0x297A2D39)):
        words = (words ^ (words >> shift)) * factor & _MASK
    return words ^ (words >> 14)


def make(item: Input, name: str, seed: int, sizes: Mapping[str, int], types: Mapping[Any, Any]) -> Any:
    """One argument of a call: a tensor, a plain value, or a list, tuple or dict of such.

    Args:
        item: what it is. name: its place in the call, such as "0.x". seed: of the probe.
        sizes: the named sizes. types: what types of tensors become (see `on_cpu.wider`); values are rounded to the type
            that was asked for all the same, so that every precision starts from the same numbers.

    Raises:
        ConversionError: there is no such tensor, as a graph without nodes.
    """
    if isinstance(item, Given):
        return item.value if item.size is None else sizes[item.size]
    if isinstance(item, Nested):
        keys: List[Any] = list(item.keys) if item.kind == "dict" else list(range(len(item.items)))
        made = [make(inner, f"{name}.{key}", seed, sizes, types) for key, inner in zip(keys, item.items)]
        return dict(zip(keys, made)) if item.kind == "dict" else tuple(made) if item.kind == "tuple" else made
    shape = tuple(sizes[dim] if isinstance(dim, str) else dim for dim in item.shape)
    try:
        values = _drawn(item, Stream(f"{seed}:{name}"), shape, sizes)
    except (RuntimeError, MemoryError) as error:
        raise ConversionError(f"the probe's input {name} of shape {shape} can't be made: {error}") from error
    tensor = values.reshape(shape).to(getattr(torch, item.dtype))
    return tensor.to(types.get(tensor.dtype, tensor.dtype))


def _drawn(item: Drawn, stream: Stream, shape: Tuple[int, ...], sizes: Mapping[str, int]) -> Any:
    count = math.prod(shape)
    kind = item.distribution
    if kind == "zeros":
        return torch.zeros(count, dtype=torch.float64)
    if kind == "ones":
        return torch.ones(count, dtype=torch.float64) * item.scale
    if kind == "booleans":
        return stream.words(count) & 1
    if kind in ("integers", "edges"):
        low, high = int(_bound(item.low, 0, sizes)), int(_bound(item.high, 0, sizes))
        if high <= low and count:
            raise ConversionError(f"the probe asks for {kind} from {low} to below {high}: there are none")
        return (
            _edges(stream, count // 2, low, high) if kind == "edges" else low + stream.words(count) % (high - low or 1)
        )
    if kind == "uniform":
        least, most = float(_bound(item.low, 0.0, sizes)), float(_bound(item.high, 1.0, sizes))
        real = stream.uniform(count) * (most - least) + least
    elif kind == "sphere":
        real = _sphere(stream, shape)
    else:
        real = stream.normal(count)
    if item.dtype.startswith("complex"):
        return torch.complex(real * item.scale, stream.normal(count) * item.scale)
    return real * item.scale


def _bound(value: Optional[Union[Number, str]], default: Number, sizes: Mapping[str, int]) -> Number:
    return default if value is None else sizes[value] if isinstance(value, str) else value


def _edges(stream: Stream, count: int, low: int, high: int) -> Any:
    """A (2, count) index: a ring over the nodes as far as it goes, then random pairs of different nodes."""
    nodes = high - low
    source = torch.arange(count, dtype=torch.int64) % nodes
    step = torch.ones(count, dtype=torch.int64)
    more = max(count - nodes, 0)
    if more:
        source[nodes:] = stream.words(more) % nodes
        step[nodes:] = 1 + stream.words(more) % max(nodes - 1, 1)
    return low + torch.stack([source, (source + step) % nodes])


def _sphere(stream: Stream, shape: Tuple[int, ...]) -> Any:
    """Points spread evenly over the unit sphere, one per row of the last dimension."""
    width = shape[-1] if shape else 1
    rows = stream.normal(math.prod(shape)).reshape(-1, max(width, 1))
    squares = torch.zeros(rows.shape[0], dtype=torch.float64)
    for column in range(rows.shape[1]):  # in this order: a sum over a dimension may take any
        squares = squares + rows[:, column] * rows[:, column]
    length = torch.sqrt(squares)
    return rows / torch.where(length > 0, length, torch.ones_like(length)).unsqueeze(1)


def arguments(
    inputs: Any, place: str, seed: int, sizes: Mapping[str, int], types: Mapping[Any, Any]
) -> Tuple[List[Any], Dict[str, Any]]:
    """The positional and the named arguments of one call; see `make`."""
    positional: List[Any] = []
    named: Dict[str, Any] = {}
    for index, (name, item) in enumerate(inputs):
        value = make(item, f"{place}.{index if name is None else name}", seed, sizes, types)
        if name is None:
            positional.append(value)
        else:
            named[name] = value
    return positional, named
