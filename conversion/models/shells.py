"""What stands for classes of changed libraries while a file is unpickled, so that none of their code runs on old state.

A module becomes a shell that holds its state until it is made anew (see `conversion.models.carry`); a name that is gone
becomes a stand-in, which only a shell may hold.
"""

from __future__ import annotations

import pickle
import types
from typing import Any, Collection, Dict, Type

import torch

from conversion.failures import ConversionError
from conversion.models import fresh
from conversion.models.graph import record, type_name


class Shell(torch.nn.Module):  # type: ignore[misc]  # torch is not installed where this is checked
    """Holds a module's state until it is made anew; ``real`` is the class that it will have."""

    real: type

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            self.__dict__.update(part or {})

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


def unpickler(changed: Collection[str], constructed: Collection[str]) -> Type[pickle.Unpickler]:
    """An unpickler that makes shells of modules of changed libraries, and of classes that a recipe constructs."""
    shells: Dict[type, type] = {}

    class Carrier(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if name == "getattr" and module in ("builtins", "__builtin__"):
                return _getattr
            try:
                found = super().find_class(module, name)
            except (ImportError, AttributeError) as error:
                if module.partition(".")[0] in changed:
                    return type(name, (StandIn,), {"gone": f"{module}.{name}"})
                raise ConversionError(f"names what is not here: {module}.{name} ({error})") from error
            if not isinstance(found, type) or not issubclass(found, torch.nn.Module):
                return found
            if fresh.library_base(found, changed) is None and type_name(found) not in constructed:
                return found
            if found not in shells:
                shells[found] = type(f"Shell of {found.__name__}", (Shell,), {"real": found})
            return shells[found]

    return Carrier


def _getattr(item: Any, name: str, *default: Any) -> Any:
    """Stands for the built-in while a file is unpickled, which is how bound methods come: also of what is gone."""
    cls = item if isinstance(item, type) else type(item)
    if issubclass(cls, StandIn):
        return type(name, (StandIn,), {"gone": f"{cls.gone}.{name}"})
    if issubclass(cls, Shell) and item is not cls:
        method = getattr(cls.real, name, None)
        if isinstance(method, types.FunctionType):
            return types.MethodType(method, item)
        return type(name, (StandIn,), {"gone": f"{type_name(cls.real)}.{name}"})
    return getattr(item, name, *default)


def refuse_leftovers(checkpoint: Any) -> None:
    """Make sure that every shell was made anew, and that nothing but a shell held a stand-in.

    Raises:
        ConversionError: something is left; the text says where.
    """
    graph = record(checkpoint, hashed=False)
    for number, item in enumerate(graph.objects):
        if isinstance(item, (Shell, StandIn)):
            name = type_name(item.real) if isinstance(item, Shell) else item.gone
            raise ConversionError(
                f"{graph.path(number)} is a {name}, which is gone, and no module of its library holds it"
            )
    for node in graph.nodes:
        for label, reference in zip(node.labels, node.references):
            if isinstance(reference, list) and reference[0] == "class" and ".Shell of " in str(reference[1]):
                raise ConversionError(f"{node.type}{label} refers to a class that is a shell here")
