"""Which test modules are imported by modules that are no tests: those are part of the program."""

from __future__ import annotations

import ast
import os
import re
import warnings
from typing import Iterator, Optional, Set

from conversion.kinds import test_folder

# What a file that imports a test module, or names one in a string, must contain; it is read by `ast` only then.
_LIKELY = re.compile(rb"(?:from|import)\b[^\n]*(?:\([^)]*)?\btests?\b|\.tests?\b[\w.]*[\"':]")
_NAMED = re.compile(r"(?:(?:[A-Za-z_]\w*\.)+|\.+(?:[A-Za-z_]\w*\.)*)tests?(?:\.\w+)*")


def test_modules(site: str) -> Set[str]:
    """Name the test modules that are imported, or named in full by a string, outside of tests.

    Args:
        site: a site-packages folder. A file that can't be parsed imports whatever its text names.
    """
    found: Set[str] = set()
    for path in _sources(site):
        try:
            with open(os.path.join(site, path), "rb") as file:
                text = file.read()
        except OSError:  # a link to nowhere
            continue
        if path.endswith(".py"):
            if _LIKELY.search(text):
                found.update(_of_module(text, path))
        else:  # entry points
            found.update(match.group() for match in _NAMED.finditer(text.decode("utf-8", "replace")))
    return found


def _sources(site: str) -> Iterator[str]:
    """Modules outside of test folders and lists of entry points, by path from the folder."""
    for folder, names, files in os.walk(site):
        inside = os.path.relpath(folder, site)
        if test_folder(os.path.join("site-packages", inside, "x")) is not None:
            names.clear()
            continue
        names.sort()
        for name in sorted(files):
            if name.endswith(".py") or name == "entry_points.txt":
                yield os.path.normpath(os.path.join(inside, name))


def _of_module(text: bytes, path: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of others' escapes
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        yield from (match.group() for match in _NAMED.finditer(text.decode("utf-8", "replace")))
        return
    package = os.path.dirname(path).replace(os.sep, ".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(package, node.level, node.module)
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAMED.fullmatch(node.value):
            plain = node.value.lstrip(".")
            yield _absolute(package, len(node.value) - len(plain), plain)


def _absolute(package: str, level: int, module: Optional[str]) -> str:
    """The full name of what ``from ..module import`` names inside a package."""
    if not level:
        return module or ""
    parts = package.split(".")
    above = parts[: len(parts) - level + 1]
    return ".".join([*above, *([module] if module else [])])
