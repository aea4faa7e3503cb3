"""Makes the ``device='cuda'`` defaults of a module's functions 'cpu', in memory only.

Model code often has ``def index(level, device='cuda')`` and calls ``index(level)`` while it constructs a
module; a docker build has no GPU. The defaults sit in the function objects, so they are replaced there:
callers that imported the function by name see it too, and the source on disk stays as it is.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from types import FunctionType, ModuleType
from typing import Any, Iterable, Iterator, List, Set

from conversion.failures import ConversionError


def is_cuda(value: Any) -> bool:
    """Whether a default value names a CUDA device: 'cuda', 'cuda:0', or a torch.device of that type."""
    if isinstance(value, str):
        return value == "cuda" or value.startswith("cuda:")
    return type(value).__name__ == "device" and getattr(value, "type", None) == "cuda"


def cpu_like(value: Any) -> Any:
    """The CPU device, in the form that `value` has."""
    return "cpu" if isinstance(value, str) else type(value)("cpu")


def neutralise(modules: Iterable[str]) -> List[str]:
    """Import the named modules and make their functions' CUDA defaults CPU.

    Returns:
        One line per changed default: "utils.pooling.get_index(device)".

    Raises:
        ConversionError: a module can't be imported; the text names it.
    """
    changed: List[str] = []
    for name in modules:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # model code may raise anything
            raise ConversionError(
                f"can't import {name}, named in cpu_defaults: {type(error).__name__}: {error}"
            ) from error
        for function in functions_of(module):
            changed.extend(_neutralise_function(name, function))
    return changed


def _neutralise_function(module: str, function: FunctionType) -> List[str]:
    parameters = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    changed = [p.name for p in parameters if p.default is not p.empty and is_cuda(p.default)]
    if function.__defaults__:
        function.__defaults__ = tuple(cpu_like(v) if is_cuda(v) else v for v in function.__defaults__)
    if function.__kwdefaults__:
        function.__kwdefaults__.update({k: cpu_like(v) for k, v in function.__kwdefaults__.items() if is_cuda(v)})
    return [f"{module}.{function.__qualname__}({name})" for name in changed]


def functions_of(module: ModuleType) -> Iterator[FunctionType]:
    """Every function that the module defines: also methods, and what decorators and partials wrap."""
    seen: Set[int] = set()
    pending: List[Any] = list(vars(module).values())
    while pending:
        thing = pending.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, FunctionType):
            pending.extend(_inside(thing))
            if thing.__module__ == module.__name__:
                yield thing
        elif isinstance(thing, type):
            if thing.__module__ == module.__name__:
                pending.extend(vars(thing).values())
        elif isinstance(thing, functools.partial):
            pending.append(thing.func)
        elif isinstance(thing, (staticmethod, classmethod)):
            pending.append(thing.__func__)
        elif isinstance(thing, property):
            pending.extend((thing.fget, thing.fset, thing.fdel))


def _inside(function: FunctionType) -> List[Any]:
    """What a decorator's wrapper hides: the wrapped function, and functions in its closure."""
    hidden = [getattr(function, "__wrapped__", None)]
    for cell in function.__closure__ or ():
        try:
            hidden.append(cell.cell_contents)
        except ValueError:  # an empty cell
            continue
    return [thing for thing in hidden if thing is not None]
