"""What a model gave back, flat: pairs of place and tensor, with nothing left out."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import torch

Outputs = List[Tuple[str, Any]]
DRAW = "~"  # in a place, before the number of further inputs that the same call was given
INPUTS = "(inputs)"  # how a place ends that holds a digest of what a call was given


def flat(value: Any, place: str = "") -> Outputs:
    """Every tensor, number, text and flag in a value, each as a tensor with its place, such as ``[0].points['a']``.

    Objects are taken apart by their attributes. What can't be taken apart is there by the name of its type, what was
    met before on the way by where that was.
    """
    return list(_flat(value, place, {}))


def _flat(value: Any, place: str, above: Dict[int, str]) -> Iterator[Tuple[str, Any]]:
    if isinstance(value, torch.Tensor):
        yield from _tensor(value, place)
    elif value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield place, _plain(value)
    elif hasattr(value, "__array__") and hasattr(value, "dtype"):  # of numpy, without importing it
        yield from _array(value, place, above)
    elif id(value) in above:
        yield place, _plain(f"the same as {above[id(value)] or 'the whole'}")
    else:
        inner = {**above, id(value): place}
        parts = list(_parts(value))
        for name, item in parts:
            yield from _flat(item, place + name, inner)
        if not parts:
            yield place, _plain(f"{type(value).__module__}.{type(value).__qualname__}, empty")


def _parts(value: Any) -> Iterator[Tuple[str, Any]]:  # noqa: PLR0912 - a branch per kind
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f"[{key!r}]", item
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for name in value._fields:
            yield f".{name}", getattr(value, name)
    elif isinstance(value, (list, tuple, types.GeneratorType, map, zip, filter)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for index, item in enumerate(sorted(value, key=repr)):
            yield f"{{{index}}}", item
    elif isinstance(value, (torch.dtype, torch.device, type, types.FunctionType, torch.nn.Module)):
        yield "", getattr(value, "__qualname__", None) or f"{type(value).__qualname__} {str(value)[:200]}"
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name, None)
    else:
        for name, item in _attributes(value):
            yield f".{name}", item


def _attributes(value: Any) -> Iterator[Tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def _tensor(value: Any, place: str) -> Iterator[Tuple[str, Any]]:
    value = value.detach()
    if getattr(value, "is_nested", False):
        for index, item in enumerate(value.unbind()):
            yield from _tensor(item, f"{place}[{index}]")
    elif value.layout == torch.sparse_coo:
        value = value.coalesce()
        yield f"{place}.indices", _kept(value.indices())
        yield f"{place}.values", _kept(value.values())
        yield f"{place}.size", torch.tensor(tuple(value.shape), dtype=torch.int64)
    elif value.layout != torch.strided:
        yield f"{place}.{str(value.layout).rpartition('.')[2]}", _kept(value.to_dense())
    elif value.is_quantized:
        yield f"{place}.{str(value.dtype).rpartition('.')[2]}", _kept(value.dequantize())
    else:
        yield place, _kept(value)


def _kept(value: Any) -> Any:
    """A copy of the values alone: a plain tensor on the CPU."""
    plain = value.detach().cpu().resolve_conj().resolve_neg()
    plain = plain if type(plain) is torch.Tensor else plain.as_subclass(torch.Tensor)
    return plain.clone(memory_format=torch.contiguous_format)


def _plain(value: Any) -> Any:
    if value is None:
        return torch.zeros(0, dtype=torch.bool)
    if isinstance(value, (str, bytes)):
        text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return torch.tensor(list(text), dtype=torch.uint8)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return _plain(str(value))
    kinds = ((bool, torch.bool), (int, torch.int64), (float, torch.float64), (complex, torch.complex128))
    return torch.tensor(value, dtype=next(dtype for kind, dtype in kinds if isinstance(value, kind)))


def _array(value: Any, place: str, above: Dict[int, str]) -> Iterator[Tuple[str, Any]]:
    if value.dtype.kind in "OUSV":
        yield from _flat(value.tolist(), place, above)
        return
    try:
        yield place, torch.as_tensor(value.copy()).clone()
    except TypeError:  # unsigned or extended types, dates
        yield place, _plain(f"{value.dtype} {value.shape}".encode() + value.tobytes())
