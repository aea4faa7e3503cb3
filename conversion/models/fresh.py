"""Makes a library's module once more from its own attributes, and tells what of the old one is not its constructor's.

In the old environment a module is compared with one made so: what differs was done to it afterwards (an attribute set,
a layer swapped, a hook), and is laid over the new one.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any, Collection, Dict, List, Mapping, Optional, Tuple

import torch

from conversion.failures import ConversionError, describe
from conversion.models.arguments import Source, changes_of, infer, values
from conversion.models.compare import Comparison, Pair
from conversion.models.graph import record, tensors
from conversion.models.held import INTERNAL, Held, references
from conversion.models.model_spec import Argument
from conversion.models.objects import type_name, untyped
from conversion.models.on_cpu import on_cpu
from conversion.models.unusual import RENAMED

CONTAINERS = (torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.Sequential)
_HANDLE = "torch.utils.hooks.RemovableHandle"


@dataclass
class Made:
    """How a library's module is made, and what was done to it afterwards.

    Attributes:
        base: the class whose constructor makes it.
        library: the top-level module of the library whose constructor made it, itself or as a part.
        arguments: the constructor's arguments, each with its source; None where another module's constructor makes it.
        own: names of attributes, parameters and submodules that the constructor does not make, or makes otherwise.
        lacking: names of attributes that it makes, and that are not there.
        hooks: torch's registry of hooks → labels of the entries that are the user's.
    """

    base: str
    library: str
    arguments: Optional[Dict[str, Source]]
    own: List[str] = field(default_factory=list)
    lacking: List[str] = field(default_factory=list)
    hooks: Dict[str, List[str]] = field(default_factory=dict)

    @property
    def unlike(self) -> int:
        """In how many places the module is another than one that the constructor makes."""
        return len(self.own) + len(self.lacking)

    def to_json(self) -> Dict[str, Any]:
        """As it stands in a record."""
        return asdict(self)


def top(cls: type) -> str:
    """The top-level module of a class."""
    return str(cls.__module__).partition(".")[0]


def library_base(cls: type, modules: Collection[str]) -> Optional[type]:
    """The class itself, or the first that it derives from, which a library of these top-level modules brings."""
    bases = (base for base in cls.__mro__ if issubclass(base, torch.nn.Module))
    return next((base for base in bases if top(base) in modules), None)


def renamed(held: Mapping[str, Held], here: Mapping[str, Held], made: Made) -> Dict[str, Held]:
    """What an old module holds, by the names that the new class has for it (``here`` is what the new one holds)."""
    names = dict.fromkeys(held, "")
    for old, new in RENAMED.get(made.base, {}).items():
        if old in held and new in here and old not in made.own and (old not in here or here[old].kind == "attribute"):
            first = next((name for name, given in names.items() if given == new), old)
            part, other = held[old].value, held[first].value
            if other is part or (isinstance(part, int) and other == part):  # a live object, or a node's number
                names[old] = new
    return {names[name] or name: item for name, item in held.items()}


def construct(module: Any, base: type, arguments: Mapping[str, Any]) -> None:
    """Run a constructor on a module; what it does to the weights of its arguments is undone.

    Raises:
        ConversionError: it failed.
    """
    storages = {}
    for tensor in tensors(list(arguments.values())):
        if tensor.layout is torch.strided and tensor.device.type != "meta":
            storage = untyped(tensor)
            storages[storage.data_ptr()] = (storage, storage.clone())
    state = torch.get_rng_state()
    try:
        with warnings.catch_warnings(), on_cpu():
            warnings.simplefilter("ignore")
            base.__init__(module, **arguments)  # type: ignore[misc]
    except Exception as error:  # a library's constructor may raise anything
        raise ConversionError(f"its constructor failed: {describe(error)}") from error
    finally:
        torch.set_rng_state(state)
        for storage, before in storages.values():
            storage.copy_(before)


def fresh(module: Any, base: type, sources: Mapping[str, Source]) -> Any:
    """A module of the same class, as the base's constructor makes it."""
    cls: Any = type(module)
    made = cls.__new__(cls)
    construct(made, base, values(sources, module))
    return made


def take(module: Any, base: type, libraries: Collection[str], given: Mapping[str, Argument]) -> Dict[int, Made]:
    """How a module is made, and those of its submodules that its constructor makes: by ``id``.

    Raises:
        ConversionError: it can't be made from its attributes; the text says why.
    """
    sources = infer(module, base, given)
    found = compare_with(module, fresh(module, base, sources), base, sources, libraries)
    for changes in changes_of(module, base, sources):
        made = found[id(module)]
        if not made.own and not made.lacking:
            break
        with contextlib.suppress(ConversionError):
            others = {**(made.arguments or {}), **changes}
            wanted = {name: source for name, source in others.items() if source is not None}
            again = compare_with(module, fresh(module, base, wanted), base, wanted, libraries)
            if again[id(module)].unlike < made.unlike:
                found = again
    return found


def compare_with(
    module: Any, other: Any, base: type, sources: Dict[str, Source], libraries: Collection[str]
) -> Dict[int, Made]:
    """What a module has that a fresh one has not, and so on for the library's submodules in both."""
    comparison = Comparison(record(module), record(other))
    found: Dict[int, Made] = {}
    waiting: List[Tuple[int, int, Made]] = [(0, 0, Made(type_name(base), top(base), sources))]
    comparison.assume(0, 0)
    while waiting:
        number, fresh_number, made = waiting.pop()
        old = comparison.old.objects[number]
        if id(old) in found:
            continue
        found[id(old)] = made
        there, here = references(comparison.old, number), references(comparison.new, fresh_number)
        for name, held in there.items():
            pair = Pair(held.value, here[name].value if name in here else ["absent", ""], "")
            if name not in here or here[name].kind != held.kind or not _alike(comparison, held.kind, pair):
                made.own.append(name)
            elif held.kind == "module" and isinstance(pair.old, int) and isinstance(pair.new, int):
                part = comparison.old.objects[pair.old]
                inner = type(part) if type(part) in CONTAINERS else library_base(type(part), libraries)
                if inner is not None and part is not comparison.new.objects[pair.new]:  # else it was an argument
                    comparison.assume(pair.old, pair.new)
                    waiting.append((pair.old, pair.new, Made(type_name(inner), made.library, None)))
        made.lacking = [name for name in here if name not in there and here[name].kind == "attribute"]
        made.hooks = _own_hooks(old, libraries)
    return found


def _alike(comparison: Comparison, kind: str, pair: Pair) -> bool:
    nodes = isinstance(pair.old, int) and isinstance(pair.new, int)
    if not nodes:
        return pair.old == pair.new
    old, new = comparison.old.nodes[pair.old], comparison.new.nodes[pair.new]  # type: ignore[index]
    if kind == "attribute":  # handles count up, from one module to the next
        return old.type == new.type == _HANDLE or comparison.agree(pair)
    return old.type == new.type and comparison.may_match(pair.old, pair.new)  # type: ignore[arg-type]


def _own_hooks(module: Any, libraries: Collection[str]) -> Dict[str, List[str]]:
    """Those hooks of a module that are not its library's: by registry the labels of their keys."""
    found: Dict[str, List[str]] = {}
    for registry, content in vars(module).items():
        if registry in INTERNAL and "hooks" in registry and isinstance(content, dict):
            own = [f"[{key!r}]" for key, hook in content.items() if not _librarys(hook, libraries)]
            if own:
                found[registry] = own
    flags = {label for labels in found.values() for label in labels}
    for registry, content in vars(module).items():  # ids of hooks with flags of their own
        if registry.endswith(("_with_kwargs", "_always_called")) and isinstance(content, dict):
            kept = [f"[{key!r}]" for key in content if f"[{key!r}]" in flags]
            if kept:
                found[registry] = kept
            else:
                found.pop(registry, None)
    return found


def _librarys(hook: Any, libraries: Collection[str]) -> bool:
    hook = getattr(hook, "hook", hook)  # torch's wrapper
    return str(getattr(hook, "__module__", type(hook).__module__)).partition(".")[0] in libraries
