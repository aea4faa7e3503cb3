"""What of two graphs is a library's own business: told by name in the report, where everything else is a difference.

* A changed library's module is made anew, so attributes that its constructor makes are the library's: where they are
  not equal, that is noted. The user's own (see `conversion.models.fresh`), weights, modes and hooks must be equal.
* torch keeps its pickles loadable, and fills in attributes that an older version lacked: these are noted. What both
  versions have must be equal.
"""

from __future__ import annotations

import sys
import types
from typing import Any, Collection, Dict, Mapping, Optional, Set

import torch

from conversion.models.compare import Comparison, Pair, Ruling
from conversion.models.fresh import Made, renamed, top
from conversion.models.graph import Reference
from conversion.models.held import FULL_BACKWARD, INTERNAL, REGISTRIES, Held, references
from conversion.models.objects import type_name

_EMPTY = (["NoneType", None], ["bool", False])
_OPTIMIZER_DEPTH = 3  # a group of parameters is an optimizer's list's dict


class LibraryRules:
    """The rules for a file of an old environment, read again in this one.

    Args:
        made: by the old graph's node, how a module is made anew.
        changed: top-level modules of the libraries that changed, each with the versions in words.
        constructed: dotted names of own classes that the recipe constructs.
    """

    def __init__(self, made: Mapping[int, Made], changed: Mapping[str, str], constructed: Collection[str] = ()) -> None:
        self._made = made
        own = {name.partition(".")[0]: "the recipe constructs it" for name in constructed}
        self._changed = {**changed, **own}

    def same_name(self, old: str, new: str) -> bool:
        """A class or function that its library moved, and that is found at its old place too, is the same."""
        module, _, name = old.rpartition(".")
        if module.partition(".")[0] not in {*self._changed, "torch"}:
            return False
        found = getattr(sys.modules.get(module), name, None)  # what the file names was imported when it was loaded
        return isinstance(found, (type, types.FunctionType)) and type_name(found) == new  # type: ignore[arg-type]

    def ruling(self, comparison: Comparison, old: int, new: int, path: str) -> Ruling:
        """See `conversion.models.compare.Rules`."""
        live = comparison.new.objects[new]
        if isinstance(live, torch.nn.Module):
            made = self._made.get(old)
            if made is not None and made.library in self._changed:
                versions = self._changed[made.library]
                return _made_anew(comparison, old, new, path, made, versions)
            return _carried(comparison, old, new, _has_torch_class(type(live)))
        if top(type(live)) == "torch":
            return _additions(comparison, old, new)
        if top(type(live)) in self._changed:
            return _additions(comparison, old, new, only=".")
        if isinstance(live, dict) and _in_optimizer(comparison, new):
            ruling = _additions(comparison, old, new)
            _steps(ruling, comparison, old, live)
            return ruling
        return Ruling()


def _labels(comparison: Comparison, old: int, new: int) -> Any:
    before, now = comparison.old.nodes[old], comparison.new.nodes[new]
    return dict(zip(before.labels, before.references)), dict(zip(now.labels, now.references))


def _is_empty(comparison: Comparison, reference: Reference, *, new: bool) -> bool:
    if not isinstance(reference, int):
        return reference in _EMPTY or reference == ["bool", True]
    return not (comparison.new if new else comparison.old).nodes[reference].references


def _carried(comparison: Comparison, old: int, new: int, torchs: bool) -> Ruling:
    """A module as pickle brings it: torch's registries may be absent where they are empty."""
    there, here = _labels(comparison, old, new)
    ruling = Ruling()
    for label in {**there, **here}:
        if label in there and label in here:
            continue
        if label[1:] in INTERNAL:
            if _is_empty(comparison, here.get(label, there.get(label)), new=label in here):
                ruling.skip.add(label)
        elif label in here and torchs:
            ruling.skip.add(label)
            _note_new(ruling, comparison, new, label, here[label])
    return ruling


def _additions(comparison: Comparison, old: int, new: int, only: str = "") -> Ruling:
    """An object of torch's or a changed library, or what an optimizer keeps: what this version adds is noted.

    Args:
        only: how the labels of what may be added begin: "." for attributes.
    """
    there, here = _labels(comparison, old, new)
    ruling = Ruling()
    for label in here:
        if label not in there and label.startswith(only):
            ruling.skip.add(label)
            _note_new(ruling, comparison, new, label, here[label])
    return ruling


def _steps(ruling: Ruling, comparison: Comparison, old: int, live: Mapping[Any, Any]) -> None:
    """The count of steps: a number in older optimizers, which torch makes a tensor of."""
    before = comparison.old.nodes[old]
    counted = dict(zip(before.labels, before.references)).get("['step']")
    step = live.get("step")
    if isinstance(step, torch.Tensor) and counted == ["int", repr(int(step))] and step.shape == ():
        ruling.skip.add("['step']")
        ruling.notes.append("an optimizer's count of steps: a number before, a tensor of that value in this torch")


def _note_new(ruling: Ruling, comparison: Comparison, new: int, label: str, reference: Reference) -> None:
    node = comparison.new.nodes[new]
    ruling.notes.append(f"{node.type}{label}: new in this version, {comparison.words(comparison.new, reference)}")


def _has_torch_class(cls: type) -> bool:
    return any(
        base.__module__.startswith("torch.") and base is not torch.nn.Module and issubclass(base, torch.nn.Module)
        for base in cls.__mro__
    )


def _in_optimizer(comparison: Comparison, number: int) -> bool:
    for _ in range(_OPTIMIZER_DEPTH):
        parent = comparison.new.nodes[number].parent
        if parent is None:
            return False
        number = parent[0]
        if isinstance(comparison.new.objects[number], torch.optim.Optimizer):
            return True
    return False


def _made_anew(comparison: Comparison, old: int, new: int, path: str, made: Made, versions: str) -> Ruling:
    """A module of a changed library: what its constructor makes is the library's, all else must be equal."""
    there, here = references(comparison.old, old), references(comparison.new, new)
    there = renamed(there, here, made)
    ruling = Ruling(skip=set(comparison.old.nodes[old].labels) | set(comparison.new.nodes[new].labels))
    for name, held in there.items():
        now = here.get(name)
        if now is not None and _another_class(comparison, held, now) and name not in made.own:
            was = comparison.words(comparison.old, held.value)
            ruling.notes.append(f"{versions}: .{name} was {was}, is {comparison.words(comparison.new, now.value)}")
        elif now is not None and now.kind == held.kind and (held.kind != "attribute" or name in made.own):
            ruling.pairs.append(Pair(held.value, now.value, f"{path}.{name}"))
        elif name in made.own:
            ruling.problems.append(f"its {held.kind} {name}, which is not its library's, is {_became(now)}")
        elif held.kind != "attribute":
            _gone(ruling, comparison, name, held, now, versions)
        elif now is None:
            ruling.notes.append(f"{versions}: .{name} is gone")
        elif not comparison.agree(Pair(held.value, now.value, f"{path}.{name}")):
            was = comparison.words(comparison.old, held.value)
            ruling.notes.append(f"{versions}: .{name} was {was}, is {comparison.words(comparison.new, now.value)}")
    for name, now in here.items():
        if name not in there:
            _arrived(ruling, comparison, name, now, versions)
    for kind in REGISTRIES.values():
        before, after = (
            [name for name, held in one.items() if held.kind == kind and name in other and other[name].kind == kind]
            for one, other in ((there, here), (here, there))
        )
        if before != after:
            ruling.problems.append(f"its {kind}s were in the order {', '.join(before)}, are in {', '.join(after)}")
    _modes(ruling, comparison, old, new, path, made)
    return ruling


def _another_class(comparison: Comparison, held: Held, now: Held) -> bool:
    """Whether a submodule without weights became one of another class."""
    if held.kind != "module" or not isinstance(held.value, int) or not isinstance(now.value, int):
        return False
    differ = comparison.old.nodes[held.value].type != comparison.new.nodes[now.value].type
    return differ and not _holds_weights(comparison, held.value, new=False)


def _became(now: Optional[Held]) -> str:
    return "gone" if now is None else f"a {now.kind} now"


def _holds_weights(comparison: Comparison, reference: Reference, *, new: bool) -> bool:
    graph = comparison.new if new else comparison.old
    if not isinstance(reference, int):
        return False
    reached: Set[int] = {reference, *graph.reached(reference)}
    return any(graph.nodes[number].type.endswith(".Parameter") for number in reached)


def _gone(ruling: Ruling, comparison: Comparison, name: str, held: Held, now: Optional[Held], versions: str) -> None:
    if held.kind == "buffer" or _holds_weights(comparison, held.value, new=False):
        ruling.problems.append(f"its {held.kind} {name} is {_became(now)}")
    else:
        ruling.notes.append(f"{versions}: .{name} is {_became(now)}")


def _arrived(ruling: Ruling, comparison: Comparison, name: str, now: Held, versions: str) -> None:
    if now.kind != "attribute" and _holds_weights(comparison, now.value, new=True):
        ruling.problems.append(f"its {now.kind} {name} is new and holds weights that nobody trained")
    else:
        ruling.notes.append(f"{versions}: .{name} is new, {comparison.words(comparison.new, now.value)}")


def _modes(ruling: Ruling, comparison: Comparison, old: int, new: int, path: str, made: Made) -> None:
    """Training mode, hooks of the user's, of which kind those of gradients are, and which buffers are not saved."""
    there, here = _labels(comparison, old, new)
    for label in (".training", f".{FULL_BACKWARD}"):
        if label in there and label in here:
            ruling.pairs.append(Pair(there[label], here[label], f"{path}{label}"))
    for registry, labels in made.hooks.items():
        before, now = (
            _registry(comparison, all_.get(f".{registry}"), new=is_new)
            for all_, is_new in ((there, False), (here, True))
        )
        for label in labels:
            if label in now:
                ruling.pairs.append(Pair(before[label], now[label], f"{path}.{registry}{label}"))
            else:
                ruling.problems.append(f"its hook {registry}{label} is gone")
    name = "._non_persistent_buffers_set"
    kept = {label[2:-2] for label in _registry(comparison, there.get("._buffers"), new=False)}
    before_set, now_set = (
        {reference[1] for reference in _registry(comparison, all_.get(name), new=is_new).values()} & kept
        for all_, is_new in ((there, False), (here, True))
    )
    if before_set != now_set:
        ruling.problems.append(f"its buffers that are not saved were {sorted(before_set)}, are {sorted(now_set)}")


def _registry(comparison: Comparison, reference: Optional[Reference], *, new: bool) -> Dict[str, Any]:
    if not isinstance(reference, int):
        return {}
    node = (comparison.new if new else comparison.old).nodes[reference]
    return dict(zip(node.labels, node.references))
