"""What happens to a recipe's TOML before it is validated: keys that went are told, probes in Python are read."""

from __future__ import annotations

import ast
import copy
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Mistake = tuple[tuple[str, ...], str]

SCHEMA = 2
GIVEN = 2  # arguments of a probe's function: the checkpoint, and its file
LARGEST = 256 * 1024  # bytes of a probe's file; it travels in every context of the models

NO_BUILDER = (
    "no builder is described here any more: docs/builders.md says how `docker buildx create` makes one; "
    '--builder NAME, or builder = "NAME" in the site file, uses it'
)
_CARRIED = "models are carried over as they are"
_GONE = {
    "class": f"names a class; {_CARRIED}: remove the line",
    "key": "names a module's key; every module of a file is carried over: remove the line, or, where only some modules "
    'can run the probe, name these in [models.NAME.probe]: at = ["KEY"]',
    "constructor": f"gives constructor arguments; {_CARRIED}: remove it; an own class whose code changed is "
    'constructed by [models.NAME.construct."module.Class"]',
    "cpu-defaults": "names modules whose CUDA defaults become the CPU; this happens by itself: remove the line",
    "stubs": 'names stand-ins; every package that no "needs" leads to has one: remove the line',
    "restore": f"names attributes to restore; {_CARRIED}, with all attributes: remove the line",
}
_BY_ATTRIBUTE = (
    "is read from an attribute of the model; a size depends on the file's path: "
    "{ match = 'REGULAR EXPRESSION', values = { FOUND = NUMBER } }, an expression, or files = { GLOB = NUMBER }"
)
_ABSOLUTE = (
    "is an absolute difference; outputs are held against float64, without any number: remove [models.NAME.tolerance], "
    "or write float32 or float64, relative to each output's largest value"
)
_FUNCTION = re.compile(r"(?P<file>[^:]+\.py):(?P<name>[A-Za-z_]\w*)")
_EMPTY = {"name": "probe", "source": "def probe(checkpoint, file): ...\n", "file": "probes.py"}


def prepared(raw: dict[str, Any], *, beside: Path) -> tuple[dict[str, Any], list[Mistake]]:
    """Give the recipe as schema 2 has it, with probes' files read, and what is wrong.

    Args:
        raw: the recipe as parsed; it is not changed. beside: its folder.
    """
    ready = copy.deepcopy(raw)
    mistakes = list(_outdated(ready))
    if ready.get("schema") == 1:
        ready["schema"] = SCHEMA
        more = ", and what is named below goes" if mistakes else "; nothing else has to change"
        mistakes.insert(0, (("schema",), f"schema: this recipe is of schema 1: write schema = {SCHEMA}{more}"))
    for name, probe in _probes(ready):
        given = probe.get("function")
        if isinstance(given, str):
            try:
                probe["function"] = _function(given, beside)
            except _UnfitError as error:
                probe["function"] = _EMPTY
                mistakes.append((("models", name, "probe", "function"), f"models.{name}.probe.function: {error}"))
    return ready, mistakes


def _tables(holder: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the tables inside a table that lies at a key, where what is there are tables."""
    inner = holder.get(key) if isinstance(holder, dict) else None
    for name, value in (inner if isinstance(inner, dict) else {}).items():
        if isinstance(value, dict):
            yield name, value


def _probes(raw: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, models in _tables(raw, "models"):
        if isinstance(models.get("probe"), dict):
            yield name, models["probe"]


def _outdated(raw: dict[str, Any]) -> Iterator[Mistake]:
    """Take out what earlier recipes had and nothing needs any more; a mistake each."""
    image = raw.get("image")
    if isinstance(image, dict) and image.pop("slim", None) is not None:
        yield ("image", "slim"), "image.slim: this key went; the image has all files: delete the line"
    if raw.pop("builder", None) is not None:
        yield ("builder",), f"builder: {NO_BUILDER}"
    for name, models in _tables(raw, "models"):
        where = f"models.{name}"
        for key, text in _GONE.items():
            if models.pop(key, None) is not None:
                yield ("models", name, key), f"{where}.{key}: {text.replace('NAME', name)}"
        tolerance = models.get("tolerance")
        if isinstance(tolerance, dict) and "absolute" in tolerance:
            del models["tolerance"]
            yield (
                ("models", name, "tolerance", "absolute"),
                f"{where}.tolerance.absolute: {_ABSOLUTE.replace('NAME', name)}",
            )
    for name, probe in _probes(raw):
        for size, value in _tables(probe, "sizes"):
            if "attribute" in value:
                probe["sizes"][size] = 1
                yield ("models", name, "probe", "sizes", size), f"models.{name}.probe.sizes.{size}: {_BY_ATTRIBUTE}"


class _UnfitError(ValueError):
    """A probe's function can't be taken; the text says why."""


def _function(given: str, folder: Path) -> dict[str, str]:
    """Read a probe's function.

    Raises:
        _UnfitError: it is named wrongly, isn't there, or is no such function.
    """
    matched = _FUNCTION.fullmatch(given)
    if not matched:
        raise _UnfitError(f'{given!r} is not "FILE.py:FUNCTION"')
    path = folder / matched["file"]
    source = _source(path, folder)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise _UnfitError(f"{path}:{error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise _UnfitError(f"{path} is no Python: {error}") from error
    _check_defined(tree, matched["name"], path)
    return {"name": matched["name"], "source": source, "file": matched["file"]}


def _source(path: Path, folder: Path) -> str:
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _UnfitError(f"{path} leaves the recipe's folder; the file lies beside the recipe or below")
        if not path.is_file():
            raise _UnfitError(f"there is no file {path}")
        if path.stat().st_size > LARGEST:
            raise _UnfitError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST} go into a build")
        return path.read_bytes().decode("utf-8")
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise _UnfitError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise _UnfitError(f"{path} is no UTF-8 text: {error}") from error


def _check_defined(tree: ast.Module, name: str, path: Path) -> None:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        known = f"; it has {', '.join(functions)}" if functions else ""
        raise _UnfitError(f"{path} has no function {name!r}{known}")
    taken, line = functions[name].args, functions[name].lineno
    places = len(taken.posonlyargs) + len(taken.args)
    if taken.vararg is None and places < GIVEN:
        raise _UnfitError(f"{path}:{line}: {name} takes {places} arguments; it is called with (checkpoint, file)")
    if places - len(taken.defaults) > GIVEN or any(default is None for default in taken.kw_defaults):
        raise _UnfitError(f"{path}:{line}: {name} needs more arguments than (checkpoint, file)")
