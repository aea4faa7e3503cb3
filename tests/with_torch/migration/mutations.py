"""Changes to a migrated file, of which the proof must see every one."""

from __future__ import annotations

import collections
import copy
import enum
import math
import pathlib
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from tests.with_torch.migration.sites import PLAIN, Path, described, places, put, resolve, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Mutation(NamedTuple):
    """``apply`` changes a freshly loaded file and returns it; ``look`` shows the place before and after."""

    kind: str
    where: str
    apply: Callable[[Any], Any]
    look: Callable[[Any], Any]


def at(path: Path, kind: str, change: Callable[[Any], Any]) -> Mutation:
    """A value in another's place."""
    return Mutation(
        kind,
        shown(path),
        lambda root: put(root, path, change(resolve(root, path))),
        lambda root: described(resolve(root, path)),
    )


def within(path: Path, kind: str, change: Callable[[Any], Any]) -> Mutation:
    """A change of the object itself."""

    def apply(root: Any) -> Any:
        change(resolve(root, path))
        return root

    return Mutation(kind, shown(path), apply, lambda root: described(resolve(root, path)))


def flip_bit(value: torch.Tensor) -> None:
    """The lowest bit of the first element."""
    if value.layout is not torch.strided:
        value._values()[0] += 1 if value.layout is torch.sparse_coo else 0
        return
    stored = value.untyped_storage()
    place = value.storage_offset() * value.element_size()
    stored[place] = stored[place] ^ 1


def of_plain(path: Path, value: Any) -> Iterator[Mutation]:
    if value is None:
        yield at(path, "None to a number", lambda _: 0)
    elif isinstance(value, bool):
        yield at(path, "a flag", lambda old: not old)
        yield at(path, "bool to int", int)
    elif isinstance(value, int):
        yield at(path, "a number", lambda old: old + 1)
        if abs(value) < 2**50:
            yield at(path, "int to float", float)
    elif isinstance(value, float):
        yield at(path, "a number", lambda old: math.nextafter(old, 7e77) if old == old else 0.0)  # noqa: PLR0124
        if value == value and math.isfinite(value) and value == int(value):  # noqa: PLR0124
            yield at(path, "float to int", int)
    elif isinstance(value, str):
        yield at(path, "a string", lambda old: old + "x")
        yield at(path, "str to bytes", lambda old: old.encode("utf-8", "surrogatepass"))
    else:
        yield at(path, "bytes", lambda old: old + b"\0")
        yield at(path, "bytes to bytearray", bytearray)


def other_strides(value: torch.Tensor) -> torch.Tensor:
    return value.detach().t().contiguous().t()


def parameter_of(old: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    return nn.Parameter(data, old.requires_grad) if isinstance(old, nn.Parameter) else data


def of_tensor(path: Path, value: torch.Tensor) -> Iterator[Mutation]:
    if nn.parameter.is_lazy(value):
        return
    if value.numel() and value.layout is torch.strided:
        yield within(path, "a bit of a tensor", flip_bit)
    if value.layout is torch.strided and not value.is_quantized and type(value) in (torch.Tensor, nn.Parameter):
        if value.ndim > 1:
            yield at(path, "a tensor's shape", lambda old: parameter_of(old, old.detach().reshape(-1)))
        if value.dtype is torch.float32:
            yield at(path, "float32 to float64", lambda old: parameter_of(old, old.detach().double()))
            yield at(path, "requires_grad", lambda old: old.detach().clone().requires_grad_(not old.requires_grad))
        if value.ndim == 2 and min(value.shape) > 1 and value.is_contiguous():
            yield at(path, "memory format", lambda old: parameter_of(old, other_strides(old)))
        if isinstance(value, nn.Parameter):
            yield at(path, "Parameter to tensor", lambda old: old.detach())
        elif value.is_floating_point():
            yield at(path, "tensor to Parameter", lambda old: nn.Parameter(old.detach(), old.requires_grad))


def of_list(path: Path, value: Any) -> Iterator[Mutation]:
    yield within(path, "an item added", lambda old: list.append(old, None))
    if type(value) is list:
        yield at(path, "list to tuple", tuple)
    if value:
        yield within(path, "an item removed", list.pop)
    if len(value) > 1 and described(value[0]) != described(value[-1]):
        yield within(path, "order of a list", list.reverse)


def of_tuple(path: Path, value: Any) -> Iterator[Mutation]:
    if type(value) is not torch.Size:
        yield at(path, "tuple to list", list)
    yield at(path, "an item added", lambda old: (*old, None))


def first_to_last(old: dict[Any, Any]) -> None:
    key = next(iter(old))
    item = dict.__getitem__(old, key)
    old.pop(key)
    old[key] = item


def of_dict(path: Path, value: Any) -> Iterator[Mutation]:
    hooks = bool(path) and str(path[-1].key).endswith("_hooks")
    internal = hooks or (
        bool(path) and path[-1].key in {"_modules", "_parameters", "_buffers"}
    )  # a dict of either type
    yield within(path, "a hook added" if hooks else "a key added", lambda old: old.__setitem__(977, print))
    if value:
        yield within(path, "a hook removed" if hooks else "a key removed", lambda old: old.pop(next(iter(old))))
    if len(value) > 1:
        yield within(path, "order of keys", first_to_last)
    if type(value) is dict and not internal:
        yield at(path, "dict to OrderedDict", collections.OrderedDict)
    elif type(value) in (collections.OrderedDict, collections.Counter, collections.defaultdict) and not internal:
        yield at(path, f"{type(value).__name__} to dict", dict)


def to_buffer(module: Any) -> None:
    name = next(name for name, value in module._parameters.items() if value is not None)
    module._buffers[name] = module._parameters.pop(name).detach()


def of_module(path: Path, value: Any) -> Iterator[Mutation]:
    yield within(path, "a hook added", lambda old: old._forward_hooks.__setitem__(977, print))
    if any(held is not None for held in value._parameters.values()):
        yield within(path, "Parameter to buffer", to_buffer)
    if type(value) is nn.Linear:
        yield within(
            path, "a class to its subclass", lambda old: setattr(old, "__class__", NonDynamicallyQuantizableLinear)
        )
    if type(value) is nn.ReLU:
        yield within(path, "a class to another", lambda old: setattr(old, "__class__", nn.Identity))
    yield within(path, "an attribute added", lambda old: old.__dict__.__setitem__("mutant", 1))


def of_object(path: Path, value: Any) -> Iterator[Mutation]:
    names = list(getattr(value, "__dict__", ()))
    if type(value).__module__ == "net" and hasattr(value, "__dict__"):
        if names and not isinstance(value, nn.Module):
            yield within(path, "an attribute removed", lambda old: old.__dict__.pop(names[-1]))
        base = type(value).__mro__[1]
        if base.__module__ == "net":
            yield within(path, "a class to its base", lambda old: setattr(old, "__class__", base))
    if isinstance(value, enum.Enum):
        others = [member for member in type(value) if member is not value]
        yield at(path, "an enum's member", lambda _: others[0])
    elif isinstance(value, pathlib.PurePath):
        yield at(path, "a path", lambda old: old / "x")
    elif isinstance(value, (set, frozenset)):
        yield at(path, "an item added", lambda old: type(old)([*old, "mutant"]))
        yield at(path, "set to its other kind", lambda old: (frozenset if type(old) is set else set)(old))
    elif isinstance(value, np.ndarray):
        yield at(path, "array to tuple", lambda old: tuple(old.reshape(-1).tolist()))
        if value.size and value.dtype.kind in "fiub":
            yield at(
                path,
                "an array's value",
                lambda old: (old.astype("f8") + 1).astype(old.dtype) if old.dtype.kind != "b" else ~old,
            )
    elif not isinstance(value, (nn.Module, dict, list, tuple, torch.Tensor, torch.optim.Optimizer)) and path:
        yield at(path, "an object to its text", lambda old: f"<{type(old).__name__}>")


def copied(value: Any) -> Any:
    return parameter_of(value, value.detach().clone()) if isinstance(value, torch.Tensor) else copy.copy(value)


def is_one(first: Path, second: Path) -> Callable[[Any], Any]:
    return lambda root: resolve(root, first) is resolve(root, second)


def one_memory(first: Path, second: Path) -> Callable[[Any], Any]:
    def look(root: Any) -> Any:
        return memory(resolve(root, first)) == memory(resolve(root, second))

    return look


def memory(value: torch.Tensor) -> int:
    return int(value.untyped_storage().data_ptr())


def parted(path: Path) -> Callable[[Any], Any]:
    return lambda root: put(root, path, copied(resolve(root, path)))


def joined(first: Path, second: Path) -> Callable[[Any], Any]:
    return lambda root: put(root, second, resolve(root, first))


def in_tuple(root: Any, path: Path) -> bool:
    return any(isinstance(resolve(root, path[:place]), tuple) for place in range(len(path)))


def of_sharing(held: dict[int, list[Path]], root: Any) -> Iterator[Mutation]:
    """One of several references gets an object of its own, equal in all else."""
    kinds = (torch.Tensor, nn.Module, list, dict, np.ndarray)
    for paths in held.values():
        first, last = paths[0], paths[-1]
        value = resolve(root, last)
        own = type(value).__module__ == "net" and not isinstance(value, type)
        if last and (isinstance(value, kinds) or own) and not in_tuple(root, last):
            where = f"{shown(first)}, {shown(last)}"
            yield Mutation("one object to two", where, parted(last), is_one(first, last))


def of_pairs(paths: list[Path], root: Any) -> Iterator[Mutation]:
    """Two tensors of one form become one; one of two that share memory gets its own."""
    by_form: dict[Any, list[Path]] = {}
    by_memory: dict[int, list[Path]] = {}
    for path in paths:
        value = resolve(root, path)
        if type(value) in (nn.Parameter, torch.Tensor) and value.layout is torch.strided and value.numel() and path:
            by_form.setdefault((type(value), value.dtype, value.shape), []).append(path)
            by_memory.setdefault(memory(value), []).append(path)
    for pairs, kind in ((by_form, "two objects to one"), (by_memory, "one memory to two")):
        for first, second in (found[:2] for found in pairs.values() if len(found) > 1):
            where = f"{shown(first)}, {shown(second)}"
            if resolve(root, first) is resolve(root, second):
                continue
            if kind == "two objects to one":
                yield Mutation(kind, where, joined(first, second), is_one(first, second))
            else:
                yield Mutation(kind, where, parted(second), one_memory(first, second))


def mutations(root: Any) -> Iterator[Mutation]:
    """All mutations of a file, in one order each time."""
    paths, held = places(root)
    for path in paths:
        value = resolve(root, path)
        if type(value) in PLAIN:
            yield from of_plain(path, value)
        elif isinstance(value, torch.Tensor):
            yield from of_tensor(path, value)
        else:
            if isinstance(value, list):
                yield from of_list(path, value)
            elif isinstance(value, tuple):
                yield from of_tuple(path, value)
            elif isinstance(value, dict):
                yield from of_dict(path, value)
            elif isinstance(value, nn.Module):
                yield from of_module(path, value)
            yield from of_object(path, value)
    yield from of_sharing(held, root)
    yield from of_pairs(paths, root)


def chosen(found: list[Mutation], count: int, seed: str) -> list[Mutation]:
    """Some of them, of as many kinds as there are; always the same."""
    shuffled = list(found)
    random.Random(seed).shuffle(shuffled)
    by_kind: dict[str, list[Mutation]] = {}
    for mutation in shuffled:
        by_kind.setdefault(mutation.kind, []).append(mutation)
    taken: list[Mutation] = []
    while len(taken) < count and any(by_kind.values()):
        for kind in list(by_kind):
            if by_kind[kind] and len(taken) < count:
                taken.append(by_kind[kind].pop())
    return taken
