"""Reads a recipe: parse, validate without changing it, and report all mistakes at once with their place."""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tomli
from pydantic import BaseModel, ValidationError

from bake.errors import UsageError
from generator.recipe.check import cross_check
from generator.recipe.model import Recipe
from generator.recipe.places import key_lines, line_of
from generator.recipe.prepare import prepared
from generator.recipe.stacks import stacked

if typing.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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
        raw = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
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
        return f"{name_or_path}.toml", resource.read_text(encoding="utf-8")
    if is_name:
        hint = difflib.get_close_matches(name_or_path, shipped(), n=1)
        meant = f'did you mean "{hint[0]}"? ' if hint else ""
        raise UsageError(
            f"there is no recipe {name_or_path!r}",
            remedy=f"{meant}shipped recipes: {', '.join(shipped())}; or give the path of a .toml file",
        )
    try:
        return str(path), path.read_text(encoding="utf-8")
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


def _place(lines: dict[tuple[str, ...], int], location: tuple[str | int, ...]) -> int | None:
    return line_of(lines, [part for part in location if part != "[key]"])


def _causes(error: ValidationError) -> list[Any]:
    """Leave out what only follows: a list counts as too short when its entries were refused."""
    details = error.errors()
    places = [detail["loc"] for detail in details]

    def follows(detail: Any) -> bool:
        inner = any(place[: len(detail["loc"])] == detail["loc"] and place != detail["loc"] for place in places)
        return detail["type"] == "too_short" and inner

    return [detail for detail in details if not follows(detail)]


def explained(
    error: ValidationError, lines: dict[tuple[str, ...], int], *, root: type[BaseModel]
) -> list[tuple[int | None, str]]:
    """Turn what pydantic found in a TOML file into sentences: the line, if it is known, and the message.

    Args:
        error: what it found. lines: see ``key_lines``. root: the class of the whole file, for near matches of keys.
    """
    return [(_place(lines, detail["loc"]), _explain(detail, root)) for detail in _causes(error)]


def _explain(detail: Any, root: type[BaseModel]) -> str:
    location = [part for part in detail["loc"] if part != "[key]"]
    name = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
        return f"{name}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{name}: missing"
    if detail["type"] == "value_error":
        return f"{name}: {detail['ctx']['error']}"
    return f"{name}: {detail['msg'][0].lower()}{detail['msg'][1:]}, not {detail['input']!r}"


def _known_keys(location: list[str | int], root: type[BaseModel]) -> list[str]:
    model: Any = root
    for part in location:
        model = _descend(model, str(part))
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return []


def _descend(annotation: Any, part: str) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part == (field.alias or name):
                return _model_in(field.annotation)
        return annotation
    return annotation


def _model_in(annotation: Any) -> Any:
    """Give the section class that an annotation holds, through ``X | None``, ``dict`` and ``tuple``."""
    return next(_models(annotation), annotation)


def _models(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models(inner)
