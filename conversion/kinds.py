"""What a file of an installed package is there for, by its path alone. Pure."""

from __future__ import annotations

import os
import re
from typing import Optional

STATIC, HEADERS, TESTS, BYTECODE = "static-libraries", "headers", "tests", "bytecode"
_STATIC = (".a", ".lib")
_TESTS = ("test", "tests")  # torch.testing and its like are libraries
_HEADERS = (".h", ".hpp", ".cuh", ".inl", ".hh", ".hxx", ".inc")
_PLAIN = re.compile(r"[a-z0-9_]+")  # C++ libraries have headers without an ending: cuda/std/array


def kind_of(path: str) -> Optional[str]:
    """What a file is there for, where no run of the program needs it; None: unknown, so it counts as needed."""
    folders, name = os.path.split(path)
    parts = folders.split(os.sep)
    if "__pycache__" in parts:
        return BYTECODE
    if name.endswith(_STATIC):
        return STATIC
    if is_header(path):
        return HEADERS
    if "site-packages" in parts and any(part in _TESTS for part in parts[parts.index("site-packages") :]):
        return TESTS
    return None


def is_header(path: str) -> bool:
    """Whether a file is a C, C++ or CUDA header: below an include folder, and with a header's name."""
    folders, name = os.path.split(path)
    return "include" in folders.split(os.sep) and (name.endswith(_HEADERS) or _PLAIN.fullmatch(name) is not None)


def is_archive(path: str) -> bool:
    """Whether a file is a static library by its full name, ``lib*.a``: data may end in .a or .lib too."""
    name = os.path.basename(path)
    return name.startswith("lib") and name.endswith(".a")


def test_folder(path: str) -> Optional[str]:
    """Give the outermost folder ``test`` or ``tests`` inside a package that a file is in; None: in none.

    A folder right below site-packages is no part of a package; nor is one in its metadata.
    """
    parts = os.path.dirname(path).split(os.sep)
    if "site-packages" not in parts:
        return None
    top = parts.index("site-packages") + 1
    if top < len(parts) and parts[top].endswith((".dist-info", ".data")):
        return None
    inner = next((number for number in range(top + 1, len(parts)) if parts[number] in _TESTS), None)
    return None if inner is None else os.sep.join(parts[: inner + 1])
