"""Reads a recipe: parse, validate without changing it, and report all mistakes at once with their place."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bake.address import quoted
from bake.errors import UsageError
from generator.recipe.check import cross_check
from generator.recipe.document import parse_toml, read_text
from generator.recipe.explain import explained
from generator.recipe.model import Recipe
from generator.recipe.places import key_lines, line_of
from generator.recipe.prepare import prepared
from generator.recipe.stacks import stacked

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class LoadedRecipe:
    """A valid recipe, and where it came from (``origin`` is for messages and headers)."""

    recipe: Recipe
    origin: str
    text: str


def shipped() -> tuple[str, ...]:
    """Name the recipes that ship with the package."""
    names = (entry.name for entry in resources.files("generator.recipes").iterdir())
    return tuple(
        sorted(
            name.removesuffix(".toml") for name in names if name.endswith(".toml") and not name.endswith(".lock.toml")
        )
    )


def load_recipe(name_or_path: str) -> LoadedRecipe:
    """Load a shipped recipe by name, or any recipe by path.

    Raises:
        UsageError: no such recipe, no valid TOML, or mistakes in it; all of them, each with its place.
    """
    origin, text = _read(name_or_path)
    try:
        raw = parse_toml(text)
    except ValueError as error:
        raise UsageError(f"not valid TOML: {error}", where=origin, remedy="mend the syntax there") from error
    lines = key_lines(text)
    raw, found = prepared(raw, beside=recipe_file(name_or_path).parent)
    mistakes = [(line_of(lines, path), message) for path, message in found]
    try:
        recipe = Recipe.model_validate(stacked(raw, origin=origin, beside=_folder(name_or_path)))
    except ValidationError as error:
        mistakes += explained(error, lines, root=Recipe)
    else:
        mistakes += [(line_of(lines, path), message) for path, message in cross_check(recipe)]
        if not mistakes:
            return LoadedRecipe(recipe=recipe, origin=origin, text=text)
    raise _rejected(origin, mistakes)


def recipe_file(name_or_path: str) -> Path:
    """Give the file of a recipe: a shipped one's lies in this package."""
    if _folder(name_or_path) is None:
        return Path(str(resources.files("generator.recipes") / f"{name_or_path}.toml"))
    return Path(name_or_path)


def _folder(name_or_path: str) -> Path | None:
    """Give the folder of a recipe that is a file of the user's; None for a shipped one."""
    path = Path(name_or_path)
    return None if path.suffix != ".toml" and len(path.parts) == 1 else path.parent


def _read(name_or_path: str) -> tuple[str, str]:
    path = Path(name_or_path)
    is_name = path.suffix != ".toml" and len(path.parts) == 1
    if is_name and name_or_path in shipped():
        resource = resources.files("generator.recipes") / f"{name_or_path}.toml"
        return f"{name_or_path}.toml", read_text(resource)
    if is_name:
        hint = difflib.get_close_matches(name_or_path, shipped(), n=1)
        meant = f'did you mean "{hint[0]}"? ' if hint else ""
        raise UsageError(
            f"there is no recipe {quoted(name_or_path)}",
            remedy=f"{meant}shipped recipes: {', '.join(shipped())}; or give the path of a .toml file",
        )
    try:
        return str(path), read_text(path)
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 text: {error}", where=str(path), remedy="TOML files are UTF-8") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"the recipe can't be read: {reason}",
            where=str(path),
            remedy="give the path of a readable .toml file",
        ) from error


def _rejected(origin: str, mistakes: Iterable[tuple[int | None, str]]) -> UsageError:
    ordered = sorted(set(mistakes), key=lambda mistake: (mistake[0] or 0, mistake[1]))
    rows = [f"{origin}:{line}: {message}" if line else f"{origin}: {message}" for line, message in ordered]
    count = "1 mistake" if len(rows) == 1 else f"{len(rows)} mistakes"
    return UsageError("\n  ".join([f"the recipe has {count}:", *rows]), remedy="mend the lines named above")
