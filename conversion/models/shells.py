"""Unpickles a checkpoint without running code of libraries that changed on a state of another version.

Modules of such libraries take their state as it is, and become inert shells; names that are gone become stand-ins,
which only a shell may hold. Classes that a file holds as values are the real ones.
"""

from __future__ import annotations

import pickle
import types
from typing import Any, Collection, Dict, Type

import torch

from conversion.failures import ConversionError
from conversion.models import forms, fresh, loading
from conversion.models.graph import Graph, Places, record
from conversion.models.objects import type_name


class Shell(torch.nn.Module):  # type: ignore[misc]  # torch is not installed where this is checked
    """Holds a module's state until it is made anew; ``real`` is the class that it will have."""

    real: type

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ConversionError(f"a {type_name(self.real)} was not made anew")


class StandIn:
    """Something of a changed library that is gone; ``gone`` is its name. Takes any state and does nothing."""

    gone = ""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Any:  # noqa: D102 - object's
        return object.__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state  # what it holds must not go unnoticed

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def append(self, _value: Any) -> None:
        """Take an item."""

    def extend(self, _values: Any) -> None:
        """Take items."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ConversionError(f"{self.gone} is gone, and something refers to it that is not its library's")


def load(content: forms.File, changed: Collection[str], constructed: Collection[str], places: Places) -> Any:
    """What a file holds, with shells for modules of changed libraries, and of classes that a recipe constructs.

    Args:
        content: the file. changed: top-level modules of libraries that changed.
        constructed: dotted names of own classes that the recipe constructs.
        places: learns where the file wants its storages.

    Raises:
        ConversionError: it can't be loaded, or names what is not here; the text says what.
    """
    inert: Dict[type, Any] = {}  # class -> its own __setstate__, if it has one
    try:
        loaded = loading.open_file(content, _unpickler(changed, constructed, inert), places)
    finally:
        for cls, own in inert.items():
            del cls.__setstate__  # type: ignore[attr-defined]
            if own is not None:
                cls.__setstate__ = own  # type: ignore[attr-defined]
    shells = {cls: type(f"Shell of {cls.__name__}", (Shell,), {"real": cls}) for cls in inert}
    graph = record(loaded, hashed=False)
    for number, item in enumerate(graph.objects):
        if type(item) in shells:
            try:
                item.__class__ = shells[type(item)]
            except TypeError as error:
                where = f"{graph.path(number)}, a {type_name(type(item))}"
                raise ConversionError(f"{where}, can't be made anew: {error}") from error
    return loaded


def _take_state(module: Any, state: Any) -> None:
    """Stands for ``__setstate__`` of a library's modules."""
    for part in state if isinstance(state, tuple) else (state,):
        module.__dict__.update(part or {})


def _unpickler(
    changed: Collection[str], constructed: Collection[str], inert: Dict[type, Any]
) -> Type[pickle.Unpickler]:
    """An unpickler whose modules of changed libraries run no code; ``inert`` learns their classes."""

    def attribute(item: Any, name: str, *default: Any) -> Any:
        """Stands for ``getattr``, which is how bound methods come: also of what is gone."""
        cls = item if isinstance(item, type) else type(item)
        if issubclass(cls, StandIn):
            return _stand_in(f"{cls.gone}.{name}")
        if cls in inert and item is not cls:
            method = getattr(cls, name, None)
            if isinstance(method, types.FunctionType):
                return types.MethodType(method, item)
            return _stand_in(f"{type_name(cls)}.{name}")
        return getattr(item, name, *default)

    def shelled(found: Any) -> bool:
        if not isinstance(found, type) or not issubclass(found, torch.nn.Module):
            return False
        return fresh.library_base(found, changed) is not None or type_name(found) in constructed

    class Carrier(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if name == "getattr" and module in ("builtins", "__builtin__"):
                return attribute
            try:
                found = super().find_class(module, name)
            except (ImportError, AttributeError) as error:
                if module.partition(".")[0] in changed:
                    return _stand_in(f"{module}.{name}")
                raise ConversionError(f"names what is not here: {module}.{name} ({error})") from error
            if shelled(found) and found not in inert:
                inert[found] = vars(found).get("__setstate__")
                found.__setstate__ = _take_state
            return found

    return Carrier


def _stand_in(gone: str) -> type:
    return type(gone.rpartition(".")[2], (StandIn,), {"gone": gone})


def refuse_leftovers(graph: Graph) -> None:
    """Hold that nothing of a library's is left as it came.

    Raises:
        ConversionError: a shell or a stand-in is left in a checkpoint.
    """
    for number, item in enumerate(graph.objects):
        if isinstance(item, (Shell, StandIn)):
            name = type_name(item.real) if isinstance(item, Shell) else item.gone
            raise ConversionError(
                f"{graph.path(number)} is a {name}, which is gone, and no module of its library holds it"
            )
    for node in graph.nodes:
        for label, reference in zip(node.labels, node.references):
            if isinstance(reference, list) and reference[0] == "class" and reference[1].startswith(f"{__name__}."):
                gone = reference[1].rpartition(".")[2]
                raise ConversionError(f"{node.type}{label} refers to {gone}, which is gone from its library")
