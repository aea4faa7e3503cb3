"""What a constructor's arguments were, told from what its module holds.

What an attribute means as an argument is inferred from the constructor's signature: the attribute of the same name;
the presence of a parameter or submodule for a flag such as ``bias``; the default for an argument that is kept nowhere.
"""

from __future__ import annotations

import inspect
from typing import Any, Collection, Dict, Iterator, List, Mapping, Optional

import torch

from conversion.failures import ConversionError
from conversion.models.held import Held, namespace
from conversion.models.model_spec import Argument
from conversion.models.objects import type_name
from conversion.models.unusual import ELSEWHERE

Source = List[Any]  # ["attribute" | "flag" | "number" | "path", name] or ["value", value]


def infer(module: Any, base: type, given: Mapping[str, Argument]) -> Dict[str, Source]:
    """The arguments of a class's constructor that make such a module.

    Raises:
        ConversionError: arguments that no attribute, value or default gives, all of them named.
    """
    held, elsewhere = namespace(module), ELSEWHERE.get(type_name(base), {})
    found: Dict[str, Source] = {}
    missing: List[str] = []
    for parameter in parameters(base):
        name = parameter.name
        if name in given:
            argument = given[name]
            found[name] = ["path", argument.attribute] if argument.attribute else ["value", argument.value]
        elif name in elsewhere:
            found[name] = ["path", elsewhere[name]]
        elif name in held:
            found[name] = [_meaning(held[name], parameter), name]
        elif parameter.default is parameter.empty:
            missing.append(name)
    if missing:
        raise ConversionError(f"nothing says what {', '.join(missing)} of its constructor were")
    return found


def parameters(base: type) -> Iterator[inspect.Parameter]:
    """The named parameters of a class's constructor."""
    for parameter in list(inspect.signature(base.__init__).parameters.values())[1:]:  # type: ignore[misc]
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield parameter


def _meaning(held: Held, parameter: inspect.Parameter) -> str:
    if isinstance(parameter.default, bool) and (held.kind != "attribute" or isinstance(held.value, torch.Tensor)):
        return "flag"
    if isinstance(parameter.default, (int, float)) and isinstance(held.value, torch.Tensor) and held.value.numel() == 1:
        return "number"
    return "attribute"


def handed_on(module: Any, base: type, named: Collection[str]) -> Dict[str, Source]:
    """Arguments that a constructor hands on to those of its bases by ``**``, as far as attributes tell them."""
    signature = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
        return {}
    held = namespace(module)
    found: Dict[str, Source] = {}
    for above in base.__mro__[1:]:
        if above is torch.nn.Module:
            break
        if "__init__" in vars(above):
            for parameter in parameters(above):
                if parameter.name in held and parameter.name not in named:
                    found.setdefault(parameter.name, [_meaning(held[parameter.name], parameter), parameter.name])
    return found


def values(sources: Mapping[str, Source], module: Any) -> Dict[str, Any]:
    """The arguments themselves, from a module that holds them.

    Raises:
        ConversionError: an attribute is not there.
    """
    held = namespace(module)
    found: Dict[str, Any] = {}
    for argument, (kind, source) in sources.items():
        if kind == "value":
            found[argument] = source
        elif kind == "path":
            found[argument] = at(module, source)
        elif source not in held:
            raise ConversionError(f"has no {source}, which its constructor's {argument} was read from")
        elif kind == "flag":
            value = held[source].value
            found[argument] = bool(value) if isinstance(value, bool) else value is not None
        else:
            found[argument] = held[source].value.item() if kind == "number" else held[source].value
    return found


def at(module: Any, path: str) -> Any:
    """The value at a dotted path below a module: attributes, and items of sequences and dicts.

    Raises:
        ConversionError: a part of the path isn't there.
    """
    value = module
    for part in path.split("."):
        held = namespace(value) if isinstance(value, torch.nn.Module) else {}
        try:
            if part in held:
                value = held[part].value
            elif hasattr(value, part):
                value = getattr(value, part)
            else:
                value = value[int(part)] if part.lstrip("-").isdigit() else value[part]
        except (TypeError, KeyError, IndexError, ValueError):
            raise ConversionError(f"has no {path} (nothing at {part!r})") from None
    return value


def changes_of(module: Any, base: type, sources: Mapping[str, Source]) -> Iterator[Dict[str, Optional[Source]]]:
    """Changes of arguments that no attribute tells for certain: they count if what is made is more like the old one.

    None stands for the default: the attribute of an argument's name may hold what the constructor made of it.
    """
    handed = handed_on(module, base, sources)
    if handed:
        yield dict(handed)
    for parameter in parameters(base):
        if isinstance(parameter.default, bool) and parameter.name not in sources:
            yield {parameter.name: ["value", not parameter.default]}
        elif parameter.default is not parameter.empty and parameter.name in sources:
            yield {parameter.name: None}
        elif parameter.default is not parameter.empty and parameter.default is not None:
            yield {parameter.name: ["value", None]}
