"""Which installed distribution, of which version, a module belongs to; read from metadata, nothing is imported."""

from __future__ import annotations

import fnmatch
import re
from importlib import metadata
from typing import Dict, Iterable, Iterator, Mapping, Sequence, Tuple

ABSENT = "not installed"
Owners = Mapping[str, Tuple[str, str]]


def normalised(name: str) -> str:
    """A distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def owners() -> Dict[str, Tuple[str, str]]:
    """Top-level module → name and version of the distribution that brings it."""
    found: Dict[str, Tuple[str, str]] = {}
    for item in metadata.distributions():
        described = item.metadata  # parsed anew each time it is asked for
        if described and described["Name"]:
            owner = (normalised(described["Name"]), str(described["Version"]))
            for module in set(modules_of(item)):
                found.setdefault(module, owner)
    return found


def modules_of(item: metadata.Distribution) -> Iterator[str]:
    """The top-level modules of a distribution."""
    listed = (item.read_text("top_level.txt") or "").split()
    if listed:
        yield from (name for name in listed if "/" not in name)
        return
    for file in item.files or ():
        first = file.parts[0]
        if len(file.parts) > 1 and not first.endswith((".dist-info", ".data")) and first not in ("..", "bin"):
            yield first
        elif len(file.parts) == 1 and first.endswith(".py"):
            yield first[:-3]


def named(known: Owners, globs: Sequence[str]) -> Dict[str, Tuple[str, str]]:
    """Those modules whose distribution is named by one of the globs."""
    patterns = [normalised(glob) for glob in globs]
    return {
        module: owner
        for module, owner in known.items()
        if any(fnmatch.fnmatchcase(owner[0], pattern) for pattern in patterns)
    }


def changed(before: Owners, now: Owners, modules: Iterable[str]) -> Dict[str, str]:
    """Of some top-level modules those whose distribution changed its public version: module → "name 1.0 -> 2.0"."""
    found: Dict[str, str] = {}
    for module in modules:
        old, new = before.get(module), now.get(module)
        if old is not None and (new is None or _public(old[1]) != _public(new[1])):
            found[module] = f"{old[0]} {old[1]} -> {new[1] if new else ABSENT}"
    return found


def _public(version: str) -> str:
    return version.partition("+")[0]
