"""Runs a recipe's probe through the modules of a checkpoint, on the CPU, in single or double precision.

The modules run in eval mode (dropout and batch statistics would make outputs random), without gradients, on one thread,
seeded. What is handed in is used up: its tensors are widened in place and forward calls may change it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import linecache
import os
import random
import sys
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Tuple

import torch

from conversion.failures import ConversionError, describe
from conversion.models import graph
from conversion.models.draw import arguments
from conversion.models.on_cpu import Types, names_cuda, on_card, on_cpu, wider
from conversion.models.outputs import DRAW, INPUTS, Outputs, flat
from conversion.models.probe_spec import Function, Probe
from conversion.models.sizes import resolve

THREADS = 1
ENOUGH = 64  # numbers whose largest error says how large errors are
MOST_DRAWS = 8
_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}


def outputs(probe: Probe, checkpoint: Any, file: str, precision: str, *, card: bool = False) -> Outputs:
    """The outputs of a probe: pairs of place and tensor, with a digest of each call's inputs.

    Args:
        probe: what to run. checkpoint: freshly loaded. file: the path of its file, for sizes.
        precision: "float32" (half precision is widened, doubles stay) or "float64" (all is widened).
        card: whether models and inputs are on the card, in float32; a probe that is a function has no say in that.

    Raises:
        ConversionError: there is nothing to call, a call failed, or no tensor came back.
    """
    widen(checkpoint, precision)
    if card:
        for tensor in graph.tensors(checkpoint):
            tensor.data = tensor.data.cuda()
    settings = _Settings(
        on_card if card else functools.partial(on_cpu, precision),
        _to_card if card else _unmoved,
        wider(precision),
    )
    if probe.function is not None:
        for _, module in graph.outermost_modules(checkpoint):
            _prepare(module, card=card)
        function = _compiled(probe.function)
        work = functools.partial(function, checkpoint, file)
        return _run(f"function {probe.function.name}", "", work, probe.seed, settings)
    sizes = resolve(probe.sizes, file)
    found: Outputs = []
    for path, module in modules_of(probe, checkpoint):
        _prepare(module, card=card)
        for index in range(len(probe.calls)):
            again = functools.partial(_call, probe, index, path, module, sizes, settings)
            first = again(0)
            found.extend(first)
            for draw in range(1, _draws(first)):
                found.extend(again(draw))
    return found


@dataclass(frozen=True)
class _Settings:
    """How calls are made: what is around them, where their tensors go, and what types become."""

    around: Callable[[], Any]
    move: Callable[[Any], Any]
    types: Types


def _draws(outputs: Outputs) -> int:
    """How many inputs a call gets: the error of a handful of numbers is a matter of luck, so it is taken of more."""
    counts = [value.numel() for _, value in outputs if value.is_floating_point() or value.is_complex()]
    fewest = min([count for count in counts if count], default=ENOUGH)
    return max(1, min(MOST_DRAWS, -(-ENOUGH // fewest)))


def _call(
    probe: Probe, index: int, path: str, module: Any, sizes: Dict[str, int], settings: _Settings, draw: int
) -> Outputs:
    call = probe.calls[index]
    number = f"#{index}" if len(probe.calls) > 1 else ""
    place = f"{path}{number}{f'.{call.method}' if call.method else ''}{f'{DRAW}{draw}' if draw else ''}"
    called = module if call.method is None else getattr(module, call.method, None)
    if not callable(called):
        raise ConversionError(f"the probe: a {type(module).__name__} has no method {call.method!r}")
    given = (call.inputs, str(index), probe.seed + draw, sizes)
    positional, named = settings.move(arguments(*given, settings.types))
    inputs = (place + INPUTS, _digest(arguments(*given, {})))
    work = functools.partial(called, *positional, **named)
    return [inputs, *_run(f"call of {place or 'the model'}", place, work, probe.seed + draw, settings)]


def _run(what: str, place: str, work: Callable[[], Any], number: int, settings: _Settings) -> Outputs:
    seed(number)
    try:
        # Scripted code is not optimised, which it would be from its third run on: then it computes other bits.
        with _one_thread(), torch.no_grad(), torch.jit.optimized_execution(False), settings.around():
            returned = work()
            found = flat(returned, place)
    except (Exception, SystemExit) as error:  # model code may raise anything
        raise ConversionError(f"the probe's {what} failed: {describe(error)}{_line(error)}") from error
    if not any((value.dim() and value.dtype != torch.uint8) or value.is_floating_point() for _, value in found):
        raise ConversionError(f"the probe's {what} returned no tensor but a {type(returned).__name__}")
    return found


def _unmoved(value: Any) -> Any:
    return value


def _to_card(value: Any) -> Any:
    """Arguments with their tensors on the card."""
    if isinstance(value, torch.Tensor):
        return value.cuda()
    if isinstance(value, dict):
        return {key: _to_card(item) for key, item in value.items()}
    return type(value)(map(_to_card, value)) if isinstance(value, (list, tuple)) else value


def seed(number: int) -> None:
    """Seed all generators that model code commonly draws from."""
    torch.manual_seed(number)
    random.seed(number)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number % 2**32)


def _digest(inputs: Any) -> Any:
    digest = hashlib.sha256()
    for place, value in flat(inputs):
        digest.update(f"{place} {value.dtype} {tuple(value.shape)} ".encode())
        if value.numel():
            digest.update(ctypes.string_at(value.data_ptr(), value.numel() * value.element_size()))
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)


def widen(checkpoint: Any, precision: str) -> None:
    """Make every tensor of an object graph as wide as the precision asks, in place: same objects, same ties."""
    types = wider(precision)
    with torch.no_grad():
        for tensor in graph.open_tensors(checkpoint):
            if tensor.dtype in types:
                tensor.data = tensor.data.to(types[tensor.dtype])
    for _, module in graph.outermost_modules(checkpoint):
        for part in module.modules():
            if isinstance(part, torch.jit.ScriptModule):
                part.to(torch.float64 if precision == "float64" else torch.float32)


def modules_of(probe: Probe, checkpoint: Any) -> List[Tuple[str, Any]]:
    """The modules that a probe calls, with their places.

    Raises:
        ConversionError: there is none, or none at a place that the recipe names.
    """
    found = [(path, lookup(checkpoint, path)) for path in probe.at] or list(graph.outermost_modules(checkpoint))
    if not found:
        raise ConversionError(f"holds no module to run the probe on: it is a {type(checkpoint).__name__}")
    for path, module in found:
        if not isinstance(module, torch.nn.Module):
            raise ConversionError(f"the probe's place {path!r} holds a {type(module).__name__}, no module")
    return [(path, _unwrapped(module)) for path, module in found]


def _unwrapped(module: Any) -> Any:
    while hasattr(module, _WRAPPERS.get(type(module).__name__, " ")):
        module = getattr(module, _WRAPPERS[type(module).__name__])
    return module


def lookup(root: Any, path: str) -> Any:
    """What lies at a dotted path: attributes, and items of sequences and dicts; a key may hold dots itself.

    Raises:
        ConversionError: there is nothing.
    """
    value, parts = root, path.split(".") if path else []
    while parts:
        for length in range(len(parts), 0, -1):
            step = _step(value, ".".join(parts[:length]))
            if step:
                (value,), parts = step, parts[length:]
                break
        else:
            there = f"; its keys are {', '.join(map(str, list(value)[:20]))}" if isinstance(value, dict) else ""
            raise ConversionError(f"nothing at {path!r}: a {type(value).__name__} has no {parts[0]!r}{there}")
    return value


def _step(value: Any, name: str) -> Tuple[Any, ...]:
    """What a name stands for in a value, in a tuple; an empty one where it stands for nothing."""
    if isinstance(value, dict):
        for key in value:
            if str(key) == name:
                return (value[key],)
    if isinstance(value, (list, tuple)) and name.isdigit() and int(name) < len(value):
        return (value[int(name)],)
    return (getattr(value, name),) if hasattr(value, name) else ()


def _prepare(module: Any, *, card: bool) -> None:
    """Eval mode, also for modules in plain attributes; and, on the CPU, no attribute that names a card."""
    if hasattr(module, "eval"):
        module.eval()
    for part in _parts_of(module):
        part.training = False
        for name, value in list(vars(part).items()):
            if names_cuda(value) and not card:
                vars(part)[name] = "cpu" if isinstance(value, str) else torch.device("cpu")


def _parts_of(module: Any) -> Iterator[Any]:
    """A module and all below it, those in plain attributes, lists and dicts too."""
    waiting, seen = [module], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.nn.Module):
            if not isinstance(value, torch.jit.ScriptModule):
                yield value
                waiting.extend(vars(value).values())
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)


def _compiled(function: Function) -> Callable[[Any, str], Any]:
    linecache.cache[function.file] = (len(function.source), None, function.source.splitlines(True), function.file)
    names = {"__name__": "probes", "__file__": function.file}
    try:
        exec(compile(function.source, function.file, "exec"), names)  # noqa: S102 - the recipe's own code
    except (Exception, SystemExit) as error:
        raise ConversionError(f"{function.file} can't be run: {describe(error)}{_line(error)}") from error
    found = names.get(function.name)
    if not callable(found):
        raise ConversionError(f"{function.file} has no function {function.name!r}")
    return found


def _line(error: BaseException) -> str:
    """Where in the models' code an exception came from: the last frame that is neither torch's nor ours."""
    own = os.path.dirname(os.path.abspath(__file__))
    libraries = (own, os.path.dirname(os.path.abspath(torch.__file__)))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not os.path.abspath(frame.filename).startswith(libraries):
            return f" ({frame.filename}:{frame.lineno})"
    return ""


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
