"""Makes model code importable, and loads and saves checkpoints without a GPU.

`surroundings` is the one place that touches sys.path, stand-ins and default arguments; it puts all of it
back, so that several model sets (each with its own top-level ``utils``) go through one process.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickletools
import sys
import zipfile
from typing import IO, Any, Iterator, List, Sequence, Set, Union

import torch

from conversion import stubs
from conversion.failures import ConversionError, describe
from conversion.models import ModelSet


@contextlib.contextmanager
def surroundings(spec: ModelSet, stubbed: Sequence[str]) -> Iterator[None]:
    """Import a set's code from its `path`, with the named modules stubbed; all is undone at the end."""
    before = set(sys.modules)
    sys.path[:0] = list(spec.path)
    importlib.invalidate_caches()
    finder = stubs.install(stubbed)
    try:
        yield
    finally:
        stubs.remove(finder)
        for folder in spec.path:
            if folder in sys.path:  # model code may have removed it itself
                sys.path.remove(folder)
        for name in set(sys.modules) - before:
            if _comes_from(sys.modules[name], spec.path):
                del sys.modules[name]


def _comes_from(module: Any, folders: Sequence[str]) -> bool:
    file = getattr(module, "__file__", None)  # None: a namespace package
    places = [file] if file else [str(place) for place in getattr(module, "__path__", ())]
    roots = tuple(os.path.realpath(folder) + os.sep for folder in folders)
    return any(os.path.realpath(place).startswith(roots) for place in places)


def find_class(name: str) -> type:
    """The class of a dotted name "package.module.Class".

    Raises:
        ConversionError: its module can't be imported, or has no such class.
    """
    module_name, _, class_name = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # model code may raise anything
        raise ConversionError(f"can't import {name}: {describe(error)}") from error
    if not isinstance(found, type):
        raise ConversionError(f"{name} is not a class")
    return found


def load_checkpoint(source: Union[str, IO[bytes]]) -> Any:
    """Unpickle a checkpoint with every tensor on the CPU.

    Raises:
        ConversionError: it can't be loaded; the text holds what torch or the model's code said.
    """
    try:
        try:
            return torch.load(source, map_location="cpu", weights_only=False)
        except TypeError as error:  # torch before 1.13 has no such argument
            if "weights_only" not in str(error):
                raise
            return torch.load(source, map_location="cpu")
    except Exception as error:  # model code may raise anything
        raise ConversionError(f"can't be loaded: {describe(error)}") from error


def to_bytes(value: Any) -> bytes:
    """A checkpoint as torch saves it (the archive's inner folder is "archive"); equal values give equal bytes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def pickled_globals(archive: bytes) -> Set[str]:
    """The dotted names of everything that the pickles of a checkpoint import when they are loaded."""
    names: Set[str] = set()
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for entry in opened.namelist():
            if entry.endswith(".pkl"):
                names.update(_globals_of(opened.read(entry)))
    return names


def _globals_of(pickle: bytes) -> Set[str]:
    names: Set[str] = set()
    strings: List[str] = []
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("GLOBAL", "INST"):
            names.add(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":  # takes the last two strings; memoised ones may be older
            names.update(f"{module}.{name}" for module, name in zip(strings, strings[1:]))  # noqa: RUF007 - 3.8
        elif isinstance(argument, str):
            strings.append(argument)
    return names
