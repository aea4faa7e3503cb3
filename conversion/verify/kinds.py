"""What a file of an installed package is there for, by its path alone. Pure."""

from __future__ import annotations

import os
import re
from typing import Optional

_STATIC = (".a", ".lib")
_TESTS = ("test", "tests")  # torch.testing and its like are libraries
_HEADERS = (".h", ".hpp", ".cuh", ".inl", ".hh", ".hxx", ".inc")
_PLAIN = re.compile(r"[a-z0-9_]+")  # C++ libraries have headers without an ending: cuda/std/array


def kind_of(path: str) -> Optional[str]:
    """What a file is there for, where no run of the program needs it; None: unknown, so it counts as needed."""
    folders, name = os.path.split(path)
    parts = folders.split(os.sep)
    if "__pycache__" in parts:
        return "bytecode"
    if name.endswith(_STATIC):
        return "static-libraries"
    if "include" in parts and (name.endswith(_HEADERS) or _PLAIN.fullmatch(name)):
        return "headers"
    if "site-packages" in parts and any(part in _TESTS for part in parts[parts.index("site-packages") :]):
        return "tests"
    return None
