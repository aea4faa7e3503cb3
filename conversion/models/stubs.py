"""Stand-ins for packages that the model's code imports, and that are not built yet while models are rebuilt.

A stubbed module can be imported by the model's own code, with any submodule and any attribute; for libraries it is not
there, since they often do without. Calling an attribute fails with its name, and so does pickling it, so a stand-in can
neither do work nor end up in a model file.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any, Iterable, NoReturn, Optional, Sequence, Tuple

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
            f"{self._stub_name} was {how}, but its package is a stand-in here: "
            "the models do use it, so add it to the recipe's needs"
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
    """Finds the named modules, and all below them, for code in the folders, where nothing else finds them."""

    def __init__(self, names: Iterable[str], folders: Iterable[str]) -> None:
        self.names = tuple(names)
        self.folders = tuple(os.path.realpath(folder) + os.sep for folder in folders)

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        """A spec for a stubbed module, None for any other."""
        del path, target
        covered = any(fullname == name or fullname.startswith(name + ".") for name in self.names)
        if not covered or not os.path.realpath(_importer()).startswith(self.folders):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True, origin="stand-in")

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The empty stand-in."""
        return StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def _importer() -> str:
    """The file of the code that is importing."""
    frame: Any = sys._getframe(1)  # noqa: SLF001 - there is no other way to ask
    while frame is not None:
        file = str(frame.f_code.co_filename)
        if file != __file__ and "importlib" not in file:
            return file
        frame = frame.f_back
    return ""


def install(names: Iterable[str], folders: Iterable[str]) -> None:
    """Let code in the folders import the named modules although they are not installed."""
    sys.meta_path.append(StubFinder(names, folders))
