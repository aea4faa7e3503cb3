"""Stacks: versions that recipes share, as TOML files. A recipe's ``[stack] from`` names one and lays its keys over it.

A stack file holds ``[stack]``, ``[toolkit]`` and ``[assets]``, with the keys that a recipe has there. It is looked for
beside the recipe, in ``stacks`` beside the recipe, and among those that ship: a new stack is a new file.
"""

from __future__ import annotations

import difflib
import re
import typing
from importlib import resources
from typing import Any

from bake.errors import UsageError
from generator.recipe.document import parse_toml, read_text
from generator.recipe.explain import shortened

if typing.TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
SECTIONS = ("stack", "toolkit", "assets")
# A recipe that chooses another kind of toolkit takes nothing of the stack's.
_WHOLE_IF_CHANGED = {"toolkit": "source"}


def stacked(raw: dict[str, Any], *, origin: str, beside: Path | None) -> dict[str, Any]:
    """Lay a recipe over the stack that it names; a recipe that names none is given back as it is.

    Args:
        raw: the recipe as parsed. origin: its name in messages. beside: its folder; None for one that ships.

    Raises:
        UsageError: there is no such stack, or its file is not valid.
    """
    section = raw.get("stack")
    name = section.get("from") if isinstance(section, dict) else None
    if not isinstance(name, str):
        return raw
    file = _find(name, origin=origin, beside=beside)
    stack = _parse(file)
    merged = dict(raw)
    for key in SECTIONS:
        if key in stack:
            merged[key] = _merge(key, stack[key], raw[key]) if key in raw else stack[key]
    if "toolkit" in stack and merged["toolkit"] is raw.get("toolkit"):  # what the stack's is made of goes with it
        theirs = stack["toolkit"].get("asset")
        assets = merged.get("assets")
        if isinstance(theirs, str) and isinstance(assets, dict) and theirs not in raw.get("assets", ()):
            merged["assets"] = {name: asset for name, asset in assets.items() if name != theirs}
    return merged


def shipped_stacks() -> tuple[str, ...]:
    """Name the stacks that ship with the package."""
    names = (entry.name for entry in (resources.files("generator.recipes") / "stacks").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def pythons_of(name: str) -> str | None:
    """Give the range of Pythons that a stack that ships has wheels for; None: it does not say."""
    stack: dict[str, str] = _parse(resources.files("generator.recipes") / "stacks" / f"{name}.toml").get("stack", {})
    return stack.get("python")


def _find(name: str, *, origin: str, beside: Path | None) -> Path | Traversable:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"stack.from: {shortened(name)} is not the name of a stack",
            where=origin,
            remedy=f"name a file of stacks without .toml; stacks that ship: {', '.join(shipped_stacks())}",
        )
    folders = [] if beside is None else [beside, beside / "stacks"]
    for folder in folders:
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    if name in shipped_stacks():
        return resources.files("generator.recipes") / "stacks" / f"{name}.toml"
    near = difflib.get_close_matches(name, shipped_stacks(), n=1)
    meant = f'did you mean "{near[0]}"? ' if near else ""
    own = f"; or write {beside / 'stacks' / name}.toml" if beside is not None else ""
    raise UsageError(
        f"stack.from: there is no stack {name!r}",
        where=origin,
        remedy=f"{meant}stacks that ship: {', '.join(shipped_stacks())}{own}",
    )


def _parse(file: Path | Traversable) -> dict[str, Any]:
    try:
        parsed = parse_toml(read_text(file))
    except (OSError, ValueError) as error:
        raise UsageError(f"the stack can't be read: {error}", where=str(file), remedy="mend that file") from error
    foreign = [key for key in parsed if key not in SECTIONS or not isinstance(parsed[key], dict)]
    if foreign:
        raise UsageError(
            f"a stack holds only the tables {', '.join(SECTIONS)}, not {', '.join(foreign)}",
            where=str(file),
            remedy="move what else there is into the recipe",
        )
    return parsed


def _merge(section: str, stack: dict[str, Any], recipe: Any) -> Any:
    """Lay the recipe's keys over the stack's, tables inside as a whole table each, except that assets are by name."""
    if not isinstance(recipe, dict):
        return recipe
    kind = _WHOLE_IF_CHANGED.get(section)
    if kind and recipe.get(kind, stack.get(kind)) != stack.get(kind):
        return recipe
    return {**stack, **recipe}
