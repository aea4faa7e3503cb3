"""Carries a checkpoint into this environment: as pickle brings it, but for the modules of libraries that changed.

Classes of changed libraries become inert shells while the file is unpickled, so that none of their code runs on a state
of another version; names that are gone become stand-ins, which only a shell may hold. Then each outermost shell is made
anew, in place: the same object becomes an instance of the real class, its constructor runs on it, and its weights,
modes, hooks and what else is the user's are laid over. So whatever referred to it, or to a weight of it, still does.
"""

from __future__ import annotations

import inspect
import types
import weakref
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Dict, Mapping, Optional, Set, Tuple

import torch

from conversion.failures import ConversionError, describe
from conversion.models import arguments, fill, forms, fresh, loading, shells
from conversion.models.fresh import Made
from conversion.models.graph import Graph, Places, record, tensors
from conversion.models.held import FULL_BACKWARD, REGISTRIES, Held, namespace
from conversion.models.model_record import Record
from conversion.models.objects import type_name
from conversion.models.shells import Shell, StandIn


@dataclass
class Carried:
    """A checkpoint in this environment.

    Attributes:
        checkpoint: what the file holds.
        anew: class → how many of its instances were made anew.
        as_is: modules of changed libraries as pickle brings them, and why they were not made anew.
        filled: "class.attribute" of torch's or a changed library's that was lacking and came from a fresh instance.
        constructed: classes of the recipe's `construct` among those that were made anew.
        places: where the file wants its storages.
        whole: the file's content where it is a scripted module, of which the graph shows the tensors alone.
    """

    checkpoint: Any
    anew: Dict[str, int] = field(default_factory=dict)
    as_is: Dict[str, str] = field(default_factory=dict)
    filled: Dict[str, int] = field(default_factory=dict)
    constructed: Set[str] = field(default_factory=set)
    places: Places = field(default_factory=Places)
    whole: Optional[bytes] = None

    @property
    def changed(self) -> bool:
        """Whether the file has to be written anew."""
        return bool(self.anew or self.filled)


def carry(
    content: forms.File,
    taken: Record,
    changed: Mapping[str, str],
    constructed: Collection[str],
    *,
    torch_changed: bool,
) -> Carried:
    """Carry a file over.

    Args:
        content: the old file. taken: its record.
        changed: top-level modules of libraries that changed.
        constructed: dotted names of own classes that the recipe constructs.
        torch_changed: whether torch's own objects may lack attributes.

    Raises:
        ConversionError: it can't be loaded, or something in it can't be carried; the text says what.
    """
    if content.form.kind == "script":
        return Carried(loading.open_file(content), whole=content.content)
    places = Places()
    loaded = shells.load(content, changed, constructed, places)
    work = _Work(loaded, taken, changed, constructed, places)
    work.make_all()
    work.carried.filled = fill.fill(loaded, changed, torch_changed=torch_changed)
    shells.refuse_leftovers(record(loaded, hashed=False))
    return work.carried


class _Work:
    def __init__(
        self, loaded: Any, taken: Record, changed: Mapping[str, str], constructed: Collection[str], places: Places
    ) -> None:
        self.carried = Carried(loaded, places=places)
        self._changed, self._constructed = changed, constructed
        live = record(loaded, hashed=False)
        self._shells = [item for item in live.objects if isinstance(item, Shell)]
        self._paths = {id(item): live.path(live.numbers[id(item)]) for item in self._shells}
        numbers = _pairs(taken.graph, live) if self._shells else {}
        self._made = {key: taken.made[number] for key, number in numbers.items() if number in taken.made}
        self._unmade = {key: taken.unmade[number] for key, number in numbers.items() if number in taken.unmade}

    def make_all(self) -> None:
        """Turn every shell into what it was, the outermost first."""
        for shell in self._shells:
            self._make(shell)

    def _make(self, shell: Any) -> None:
        if not isinstance(shell, Shell):  # it has been made, as part of another
            return
        made = self._made.get(id(shell))
        path, real = self._paths[id(shell)], type(shell).real
        if made is None:
            self._leave(shell, self._unmade.get(id(shell), "the old environment has no record of it"))
            return
        try:
            if made.arguments is None:
                raise ConversionError("it was part of another module, which does not make it any more")
            self._make_anew(shell, made)
        except ConversionError as error:
            raise ConversionError(f"{path}, a {type_name(real)}, can't be made anew: {error}") from error

    def _leave(self, shell: Any, reason: str) -> None:
        """Let a module come as pickle brings it."""
        real = type(shell).real
        state = dict(shell.__dict__)
        _become(shell, real)
        try:
            shell.__setstate__(state)
        except Exception as error:  # a library's code may raise anything
            raise ConversionError(
                f"{self._paths[id(shell)]}, a {type_name(real)}, can't be made anew ({reason}), and its library does "
                f"not take its old state: {describe(error)}"
            ) from error
        self.carried.as_is[type_name(real)] = reason

    def _make_anew(self, shell: Any, made: Made) -> None:
        real = type(shell).real
        base = real if type_name(real) in self._constructed else fresh.library_base(real, self._changed) or real
        before = dict(shell.__dict__)
        held = namespace(shell)
        sources = self._arguments(shell, base, made)
        given = arguments.values(sources, shell)
        for inner in record(list(given.values()), hashed=False).objects:
            if isinstance(inner, Shell) and inner is not shell:
                self._make(inner)
        _become(shell, real)
        fresh.construct(shell, base, given)
        self._lay_over(shell, before, held, made)
        self._count(real)

    def _arguments(self, shell: Any, base: type, made: Made) -> Dict[str, arguments.Source]:
        """The arguments that the old constructor was found to take, as far as this one takes them, and its new ones."""
        signature = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        takes_any = any(item.kind is item.VAR_KEYWORD for item in signature)
        known = {item.name for item in signature}
        old = {name: source for name, source in (made.arguments or {}).items() if takes_any or name in known}
        wanted = [item for item in arguments.parameters(base) if item.default is item.empty and item.name not in old]
        if not wanted:
            return old
        inferred = arguments.infer(shell, base, {})
        return {**old, **{item.name: inferred[item.name] for item in wanted}}

    def _count(self, real: type) -> None:
        name = type_name(real)
        self.carried.anew[name] = self.carried.anew.get(name, 0) + 1
        if name in self._constructed:
            self.carried.constructed.add(name)

    def _lay_over(self, module: Any, before: Dict[str, Any], held: Dict[str, Held], made: Made) -> None:
        """Give a module that was made anew what the old one held and its constructor does not make."""
        here = namespace(module)
        held = fresh.renamed(held, here, made)
        for name, (kind, value) in held.items():
            if kind == "module":
                self._submodule(module, name, value, here.get(name), made)
            elif kind == "attribute":
                if name in made.own:
                    _place(module, kind, name, value)
            elif value is None and name not in here and name not in made.own:
                continue
            elif name in here or name in made.own:
                _place(module, kind, name, value)
            else:
                raise ConversionError(f"its {kind} {name} has no place in the new class")
        for name, (kind, value) in namespace(module).items():
            if name not in held and kind != "attribute" and any(_is_weight(item) for item in tensors(value)):
                raise ConversionError(f"the new class has weights that the old one lacks: {name}")
        for registry, kind in REGISTRIES.items():  # by the order of parameters an optimizer's state goes
            _in_order(module.__dict__[registry], [name for name, item in held.items() if item.kind == kind])
        _modes(module, before, held, made)

    def _submodule(self, module: Any, name: str, old: Any, new: Any, made: Made) -> None:
        """Put an old submodule in its place; ``new`` is what the new constructor holds there."""
        fresh_one = new.value if new is not None and isinstance(new.value, torch.nn.Module) else None
        inner = self._made.get(id(old))
        if name not in made.own:
            if fresh_one is None or isinstance(old, StandIn):
                return _drop(old, name)
            if old is None:  # what is new has no weights, or it is refused
                return None
            if inner is not None and inner.arguments is None and fresh_one is not old:
                self._adopt(old, fresh_one, inner)
        self._make(old)
        return _place(module, "module", name, old)

    def _adopt(self, old: Any, new: Any, made: Made) -> None:
        """Let an old submodule become the one that its holder's constructor made; it stays the same object."""
        before, held = dict(old.__dict__), namespace(old)
        if not isinstance(old, (Shell, *fresh.CONTAINERS)):  # it has been made before
            return
        layers = [value for name, (kind, value) in held.items() if kind == "module" and name in made.own]
        if type(new) not in fresh.CONTAINERS and any(tensors(layer) for layer in layers):
            self.carried.as_is[type_name(type(new))] = "it has layers that its holder's constructor does not make"
        _become(old, type(new))
        old.__dict__.update(new.__dict__)
        for registry, hooks in old.__dict__.items():
            if "hooks" in registry and isinstance(hooks, dict):
                for key, hook in hooks.items():
                    hooks[key] = _bound_to(hook, new, old)
        self._lay_over(old, before, held, made)
        if type(new) not in fresh.CONTAINERS:
            self._count(type(new))


def _drop(old: Any, name: str) -> None:
    """Leave a submodule out that the new class does not have."""
    if tensors(old):
        raise ConversionError(f"its submodule {name} holds weights, and has no place in the new class")


def _become(module: Any, cls: type) -> None:
    """Make an object an instance of another class, without attributes."""
    try:
        module.__class__ = cls
    except TypeError as error:
        raise ConversionError(f"a {type_name(cls)} can't take the place of its shell: {error}") from error
    module.__dict__.clear()


def _is_weight(tensor: Any) -> bool:
    return isinstance(tensor, torch.nn.Parameter)


def _place(module: Any, kind: str, name: str, value: Any) -> None:
    own = module.__dict__
    own.pop(name, None)
    for registry, registered in REGISTRIES.items():
        if registered == kind:
            own[registry][name] = value
        else:
            own[registry].pop(name, None)
    if kind == "attribute":
        own[name] = value


def _modes(module: Any, before: Dict[str, Any], held: Mapping[str, Held], made: Made) -> None:
    own = module.__dict__
    own["training"] = before["training"]
    if own.get(FULL_BACKWARD) is None and FULL_BACKWARD in before:
        own[FULL_BACKWARD] = before[FULL_BACKWARD]
    unsaved = before.get("_non_persistent_buffers_set", set())
    kept = {name for name, item in held.items() if item.kind == "buffer"}
    own["_non_persistent_buffers_set"] = (own["_non_persistent_buffers_set"] - kept) | (unsaved & kept)
    for registry, labels in made.hooks.items():
        for key, hook in before.get(registry, {}).items():
            if f"[{key!r}]" in labels:
                if key in own[registry]:
                    raise ConversionError(f"its hook {registry}[{key!r}] has the number of one of its library's own")
                own[registry][key] = hook


def _in_order(entries: Dict[str, Any], names: Collection[str]) -> None:
    """Put those of these names first, in their order; the others stay behind them as they are."""
    for name in [*(name for name in names if name in entries), *(name for name in entries if name not in names)]:
        entries[name] = entries.pop(name)


def _bound_to(hook: Any, old: Any, new: Any) -> Any:
    """A hook that was bound to one module, bound to another."""
    if isinstance(hook, types.MethodType) and hook.__self__ is old:
        return types.MethodType(hook.__func__, new)
    inner = getattr(hook, "hook", None)  # torch's wrapper
    if isinstance(inner, types.MethodType) and inner.__self__ is old:
        hook.hook = types.MethodType(inner.__func__, new)
        if getattr(hook, "module", None) is not None:
            hook.module = weakref.ref(new)
    return hook


def _pairs(old: Graph, live: Graph) -> Dict[int, int]:
    """Live object's ``id`` → its node in the old graph, found by going the same ways in both."""
    found: Dict[int, int] = {}
    waiting = [(old.root, live.root)]
    while waiting:
        there, here = waiting.pop()
        if not isinstance(there, int) or not isinstance(here, int) or id(live.objects[here]) in found:
            continue
        found[id(live.objects[here])] = there
        before, now = old.nodes[there], live.nodes[here]
        places: Dict[str, Any] = dict(zip(before.labels, before.references))
        waiting += [(places[label], ref) for label, ref in zip(now.labels, now.references) if label in places]
    return found


def called_modules(run: Callable[[], Any]) -> Tuple[Any, Set[int]]:
    """What a call gives, and the ``id`` of every module whose forward ran in it."""
    seen: Set[int] = set()

    def note(module: Any, *_call: Any) -> None:  # also by keyword, if its number is one of a hook of the file
        seen.add(id(module))

    handle = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        return run(), seen
    finally:
        handle.remove()
