"""Compares the attributes of two modules, and restores those that only the old one has.

What counts as agreement, for the model's own modules (see `conversion.attributes`):

* An attribute that the constructor makes must come out equal, bit for bit. A difference fails: either an
  argument or the code is not what the model was made with. Three exceptions are restored: the name of a CUDA
  device (``self.device = 'cuda'``), which ``cpu_defaults`` changed; a tensor of which only the type differs
  (``module.half()`` after construction); and an attribute that the recipe's ``restore`` names, which is how a
  recipe says that training set it.
* An attribute that the constructor doesn't make was set afterwards and can't be derived, so it is restored
  from the old module: tensors, numbers, strings, devices and containers of them. Any other kind fails with
  its name.
* An attribute that only the new module has is the newer code's own, and is left.
* Own classes that derive from a library's layer also carry the library's attributes: private names and
  objects of library classes are not compared there.
"""

from __future__ import annotations

import fnmatch
from typing import Any, Dict, List, Optional, Sequence

import torch

from conversion.attributes import Tree, decode, dotted, names_cuda, restorable

Modules = Dict[str, Dict[str, Any]]


def same_bits(old: Any, new: Any) -> bool:
    """Whether two tensors have the same type, shape and bytes (so NaN equals itself, and -0.0 isn't 0.0)."""
    if old.dtype != new.dtype or old.shape != new.shape or old.layout != new.layout:
        return False
    if old.layout != torch.strided or old.is_quantized:
        return bool(torch.equal(old.dequantize() if old.is_quantized else old.to_dense(),
                                new.dequantize() if new.is_quantized else new.to_dense()))  # fmt: skip
    return bool(torch.equal(_as_bytes(old), _as_bytes(new)))


def _as_bytes(tensor: Any) -> Any:
    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    return flat.view(torch.uint8)


def difference(old: Tree, new: Tree, path: str) -> List[str]:  # noqa: PLR0911 - one return per kind of tree
    """The places, below `path`, at which two trees differ; empty where they are equal."""
    if old[0] != new[0]:
        return [f"{path} was {summary(old)}, is {summary(new)}"]
    kind = old[0]
    if kind == "tensor":
        return [] if same_bits(old[1], new[1]) else [f"{path}: {tensor_difference(old[1], new[1])}"]
    if kind in ("list", "tuple", "set"):
        if len(old[1]) != len(new[1]):
            return [f"{path} had {len(old[1])} items, has {len(new[1])}"]
        return [text for i, (a, b) in enumerate(zip(old[1], new[1])) for text in difference(a, b, f"{path}[{i}]")]
    if kind == "dict":
        return _pairs_difference(_keyed(old[1]), _keyed(new[1]), path)
    if kind in ("module", "object"):
        if old[1] != new[1]:
            return [f"{path} was a {old[1]}, is a {new[1]}"]
        return _pairs_difference(old[2] or [], new[2] or [], path)
    same = old[1:] == new[1:] if kind != "value" else _same_value(old[1], new[1])
    return [] if same else [f"{path} was {summary(old)}, is {summary(new)}"]


def _keyed(pairs: Sequence[Any]) -> List[Any]:
    return [(repr(key[1]) if key[0] == "value" else repr(key), value) for key, value in pairs]


def _pairs_difference(old: Sequence[Any], new: Sequence[Any], path: str) -> List[str]:
    before, after = dict(old), dict(new)
    texts = [f"{path}[{key}] is gone" for key in before if key not in after]
    texts += [f"{path}[{key}] is new" for key in after if key not in before]
    for key, tree in before.items():
        if key in after:
            texts.extend(difference(tree, after[key], f"{path}[{key}]"))
    return texts


def _same_value(old: Any, new: Any) -> bool:
    return type(old) is type(new) and (old == new or (old != old and new != new))  # noqa: PLR0124 - NaN


def tensor_difference(old: Any, new: Any) -> str:
    """How two tensors differ, in a few words: type, shape, or the largest absolute difference."""
    if old.dtype != new.dtype:
        return f"was {old.dtype}, is {new.dtype}"
    if old.shape != new.shape:
        return f"had shape {tuple(old.shape)}, has {tuple(new.shape)}"
    gap = largest_gap(old, new)
    return "differs in bits" if gap is None else f"differs by at most {gap:.3g}"


def largest_gap(old: Any, new: Any) -> Optional[float]:
    """The largest absolute difference of two tensors of one shape; infinite where only one has a NaN.

    None for tensors that can't be subtracted.
    """
    if old.numel() == 0:
        return 0.0
    try:
        wide = torch.complex128 if old.is_complex() else torch.float64
        a, b = old.detach().to(wide), new.detach().to(wide)
        gap = (a - b).abs()
        gap = torch.where((a == b) | (a.isnan() & b.isnan()), torch.zeros_like(gap), gap)
        return float("inf") if bool(gap.isnan().any()) else float(gap.max())
    except (RuntimeError, TypeError):
        return None


def summary(tree: Tree) -> str:
    """A tree in a few words."""
    kind = tree[0]
    if kind == "tensor":
        return f"a {tree[1].dtype} tensor of shape {tuple(tree[1].shape)}"
    if kind in ("value", "device", "torch"):
        return repr(tree[1])[:80]
    if kind in ("list", "tuple", "set", "dict"):
        return f"a {kind} of {len(tree[1])}"
    return f"a {tree[1]}"


def attribute_differences(old: Modules, new: Modules) -> List[str]:
    """Every difference that counts, by the rules of this module; for a restored module there should be none."""
    texts: List[str] = []
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            if before["own"]:
                texts.append(f"submodule {name} ({before['class']}) is gone")
            continue
        if before["class"] != after["class"] and before["own"]:
            texts.append(f"submodule {name or 'itself'} was a {before['class']}, is a {after['class']}")
        if before["training"] != after["training"]:
            texts.append(f"{dotted(name, 'training')} was {before['training']}, is {after['training']}")
        if before["own"] and before["hooks"] != after["hooks"]:
            texts.append(f"{name or 'the module'} had {before['hooks']} registered hooks, has {after['hooks']}")
        texts.extend(_module_differences(name, before, after))
    return texts


def _module_differences(name: str, before: Dict[str, Any], after: Dict[str, Any]) -> List[str]:
    texts: List[str] = []
    for attribute, tree in before["attributes"].items():
        found = after["attributes"].get(attribute)
        if _is_library_business(before, attribute, tree):
            continue
        if found is not None:
            texts.extend(difference(tree, found, dotted(name, attribute)))
        elif before["own"] and attribute not in after.get("class_names", ()):
            texts.append(f"{dotted(name, attribute)} ({summary(tree)}) is gone")
    return texts


def _is_library_business(entry: Dict[str, Any], attribute: str, tree: Tree) -> bool:
    if not entry["own"] or not entry["library_base"]:
        return False
    return attribute.startswith("_") or (tree[0] == "object" and tree[2] is None)


def restore(module: Any, old: Modules, new: Modules, globs: Sequence[str]) -> List[str]:
    """Set the attributes of `module` that are to be taken from the old one; returns their dotted names.

    Args:
        module: the rebuilt module; changed.
        old: what the old module had.
        new: what the rebuilt module has.
        globs: the recipe's `restore`, matched against dotted attribute names.
    """
    parts = dict(module.named_modules())
    restored: List[str] = []
    for name, before in old.items():
        if not before["own"] or name not in new:
            continue
        for attribute, tree in before["attributes"].items():
            path = dotted(name, attribute)
            if _wanted(before, new[name], attribute, tree, _matches(path, globs)):
                _set(parts[name], attribute, tree)
                restored.append(path)
    return restored


def _matches(path: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, glob) for glob in globs)


def _wanted(before: Dict[str, Any], after: Dict[str, Any], attribute: str, tree: Tree, named: bool) -> bool:
    if not restorable(tree) or _is_library_business(before, attribute, tree):
        return False
    found = after["attributes"].get(attribute)
    if found is None:  # not made by the constructor, and no property or method of the class either
        return attribute not in after["class_names"]
    return bool(difference(tree, found, attribute)) and (named or names_cuda(tree) or _converted(tree, found))


def _converted(old: Tree, new: Tree) -> bool:
    """Whether a tensor differs by a conversion of its type alone, as ``module.half()`` does to buffers."""
    if old[0] != "tensor" or new[0] != "tensor" or old[1].dtype == new[1].dtype:
        return False
    return same_bits(old[1], new[1].to(old[1].dtype))


def _set(part: Any, attribute: str, tree: Tree) -> None:
    buffers = part._non_persistent_buffers_set  # noqa: SLF001 - torch has no public name for it
    if attribute in buffers:
        part._buffers[attribute] = decode(tree)  # noqa: SLF001 - the same
    else:
        setattr(part, attribute, decode(tree))
