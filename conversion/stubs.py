"""Stand-ins for modules that model code imports and does not use.

A stubbed module can be imported, with any submodule and any attribute. Calling an attribute fails with its
name, and so does pickling it, so a stand-in can neither do work nor end up in a model file.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any, Iterable, List, NoReturn, Optional, Sequence, Tuple

from conversion.failures import ConversionError


class StubUsed(ConversionError):
    """A stand-in was called, or pickled."""


class StubAttribute:
    """Anything that is read from a stubbed module: has any attribute, and fails when it is called."""

    def __init__(self, name: str) -> None:
        self.__dict__["_stub_name"] = name

    def __getattr__(self, name: str) -> StubAttribute:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{self._stub_name} is a stand-in and has no {name}")
        return StubAttribute(f"{self._stub_name}.{name}")

    def _refuse(self, how: str) -> NoReturn:
        raise StubUsed(
            f"{self._stub_name} was {how}, but its package is stubbed here: "
            "the model does use it, so take it off the recipe's stubs and add it to needs"
        )

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Fail with the stand-in's name."""
        self._refuse("called")

    def __reduce__(self) -> NoReturn:
        self._refuse("pickled")

    def __mro_entries__(self, _bases: Tuple[Any, ...]) -> Tuple[type, ...]:
        """Serve as a base class, of a class that can't be instantiated."""
        stub = self

        def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
            stub._refuse("instantiated through a subclass")

        return (type(self._stub_name.rpartition(".")[2], (), {"__init__": refuse}),)

    def __instancecheck__(self, _instance: Any) -> bool:
        return False

    def __subclasscheck__(self, _subclass: type) -> bool:
        return False

    def __or__(self, _other: Any) -> StubAttribute:  # "X | None" in an annotation
        return self

    __ror__ = __or__

    def __getitem__(self, _item: Any) -> StubAttribute:  # "X[int]" in an annotation
        return self

    def __repr__(self) -> str:
        return f"<stand-in for {self._stub_name}>"


class StubModule(ModuleType):
    """A module of which every attribute is a `StubAttribute`."""

    def __getattr__(self, name: str) -> StubAttribute:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{self.__name__} is a stand-in and has no {name}")
        return StubAttribute(f"{self.__name__}.{name}")


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the named modules, and all below them, before anything else does."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def covers(self, fullname: str) -> bool:
        """Whether the module is one of the stubbed ones or below one."""
        return is_below(fullname, self.names)

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        """A spec for a stubbed module, None for any other."""
        del path, target
        if not self.covers(fullname):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True, origin="stand-in")

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The empty stand-in."""
        return StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def is_below(fullname: str, names: Iterable[str]) -> bool:
    """Whether a dotted module name is one of `names` or below one of them."""
    return any(fullname == name or fullname.startswith(name + ".") for name in names)


def install(names: Iterable[str]) -> StubFinder:
    """Stub the named modules, also where they are installed; returns what `remove` takes."""
    finder = StubFinder(names)
    for loaded in [name for name in sys.modules if finder.covers(name)]:
        del sys.modules[loaded]
    sys.meta_path.insert(0, finder)
    return finder


def remove(finder: StubFinder) -> None:
    """Undo `install`: the finder and the stand-ins that were imported go."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    for name in [name for name, module in sys.modules.items() if isinstance(module, StubModule)]:
        if finder.covers(name):
            del sys.modules[name]


def lacking(names: Iterable[str]) -> List[str]:
    """Those of the named modules that can't be found on this interpreter's path (nothing is imported)."""
    missing = []
    for name in names:
        try:
            found = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):  # the parent is absent, or a half-made module
            found = False
        if not found:
            missing.append(name)
    return missing
