"""The lock: what the names of a recipe stood for, the day it was locked. A TOML file beside the recipe.

Format, version 1, keys in this order and names sorted, so that the same facts give the same bytes:

    schema = 1
    recipe = "NAME"

    [base]                      the frozen image, and the digest that its name stood for
    image = "NAME:TAG"
    digest = "sha256:…"

    [assets.NAME]               each asset: its address, and the content found there
    url = "https://…"
    sha256 = "…"
    size = 123

    [packages.NAME]             each package that the recipe compiles from a file with a known hash
    version = "1.2.3"
    sha256 = "…"

An entry whose name, address or version is no longer the recipe's is stale: it is told and not used. An entry that
contradicts a hash in the recipe is a mistake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from bake.errors import EnvironmentUnfit, UsageError
from generator.recipe.document import parse_toml
from generator.recipe.fields import Digest, Sha256, Url
from generator.recipe.places import key_lines, line_of
from generator.recipe.section import Name, NonEmpty, Section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from generator.recipe.model import Recipe


SUFFIX = ".lock.toml"


class LockedBase(Section):
    """The frozen image, pinned."""

    image: NonEmpty
    digest: Digest


class LockedAsset(Section):
    """An asset's content."""

    url: Url
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class LockedPackage(Section):
    """A package's file."""

    version: NonEmpty
    sha256: Sha256


class Lock(Section):
    """A lock, as parsed."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    recipe: Name
    base: LockedBase | None = None
    assets: dict[Name, LockedAsset] = Field(default_factory=dict)
    packages: dict[Name, LockedPackage] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A recipe with its lock's facts in it, and what of the lock was not used: one sentence each; the lock's text."""

    recipe: Recipe
    stale: tuple[str, ...]
    text: str = ""


def lock_path(recipe_path: Path) -> Path:
    """Where the lock of a recipe stands: ``lab.toml`` has ``lab.lock.toml`` beside it."""
    return recipe_path.with_name(recipe_path.name.removesuffix(".toml") + SUFFIX)


def parse_lock(text: str, *, origin: str) -> Lock:
    """Read a lock.

    Raises:
        UsageError: it is not one; every mistake with its line.
    """
    remedy = "run `lock` again, or remove the file"
    try:
        raw = parse_toml(text)
    except ValueError as error:
        raise UsageError(f"not valid TOML: {error}", where=origin, remedy=remedy) from error
    try:
        return Lock.model_validate(raw)
    except ValidationError as error:
        lines = key_lines(text)
        rows = []
        for detail in error.errors():
            path = [part for part in detail["loc"] if part != "[key]"]
            rows.append(f"{origin}:{line_of(lines, path) or 1}: {'.'.join(map(str, path))}: {detail['msg']}")
        raise UsageError("\n  ".join(["this is not a lock:", *rows]), remedy=remedy) from error


def as_toml(lock: Lock, *, origin: str, version: str) -> str:
    """Write a lock; the same lock gives the same bytes."""
    out = [
        f"# Written by `lock` of image-uplift {version} from {origin}. Do not edit it: run `lock` again.",
        "schema = 1",
        f"recipe = {_quoted(lock.recipe)}",
    ]
    if lock.base is not None:
        out += ["", "[base]", f"image = {_quoted(lock.base.image)}", f"digest = {_quoted(lock.base.digest)}"]
    for name, asset in sorted(lock.assets.items()):
        out += ["", f"[assets.{name}]", f"url = {_quoted(asset.url)}", f"sha256 = {_quoted(asset.sha256)}"]
        out += [f"size = {asset.size}"]
    for name, package in sorted(lock.packages.items()):
        out += ["", f"[packages.{name}]", f"version = {_quoted(package.version)}"]
        out += [f"sha256 = {_quoted(package.sha256)}"]
    return "\n".join(out) + "\n"


def write_lock(text: str, path: Path) -> bool:
    """Put a lock in place, whole; tells whether it changed.

    Raises:
        EnvironmentUnfit: it can't be written.
    """
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EnvironmentUnfit(
            f"the lock can't be written: {reason}", where=str(path), remedy="choose another file with -o"
        ) from error
    return True


def apply_lock(recipe: Recipe, lock: Lock, *, origin: str) -> Applied:
    """Put the lock's facts into the recipe.

    Raises:
        UsageError: the lock is another recipe's, or contradicts what the recipe says.
    """
    if lock.recipe != recipe.name:
        raise UsageError(
            f"this is the lock of {lock.recipe}, not of {recipe.name}",
            where=origin,
            remedy="give the right file with --lock, or run `lock` again",
        )
    wrong = list(_contradictions(recipe, lock))
    if wrong:
        raise UsageError(
            "\n  ".join(["the lock and the recipe contradict each other:", *wrong]),
            where=origin,
            remedy="find out which is right; then mend the recipe, or run `lock` again",
        )
    assets = {}
    for name, asset in recipe.assets.items():
        known = lock.assets.get(name)
        assets[name] = asset
        if known is not None and known.url == asset.url:
            assets[name] = asset.model_copy(update={"sha256": known.sha256, "size": known.size})
    base = recipe.base
    if lock.base is not None and lock.base.image == base.image and "@" not in base.image:
        base = base.model_copy(update={"image": f"{base.image}@{lock.base.digest}"})
    return Applied(recipe=recipe.model_copy(update={"assets": assets, "base": base}), stale=tuple(_stale(recipe, lock)))


def locked_packages(recipe: Recipe) -> dict[str, LockedPackage]:
    """Those packages of the recipe whose files have a known hash."""
    found = {}
    for name, extension in recipe.extensions.items():
        sha256, version = getattr(extension, "sha256", None), getattr(extension, "version", None)
        if sha256 and version:
            found[name] = LockedPackage(version=version, sha256=sha256)
    return found


def _contradictions(recipe: Recipe, lock: Lock) -> Iterator[str]:
    for name, asset in recipe.assets.items():
        known = lock.assets.get(name)
        if known is None or known.url != asset.url:
            continue
        if asset.sha256 not in (None, known.sha256):
            yield f"assets.{name}: sha256 {asset.sha256} in the recipe, {known.sha256} in the lock"
        elif asset.size not in (None, known.size):
            yield f"assets.{name}: size {asset.size} in the recipe, {known.size} in the lock"
    for name, package in locked_packages(recipe).items():
        entry = lock.packages.get(name)
        if entry is not None and entry.version == package.version and entry.sha256 != package.sha256:
            yield f"packages.{name}: sha256 {package.sha256} in the recipe, {entry.sha256} in the lock"


def _stale(recipe: Recipe, lock: Lock) -> Iterator[str]:
    if lock.base is not None and lock.base.image != recipe.base.image.partition("@")[0]:
        yield f"base: it locks {lock.base.image}, and the recipe uses {recipe.base.image}"
    for name, entry in sorted(lock.assets.items()):
        asset = recipe.assets.get(name)
        if asset is None:
            yield f"assets.{name}: the recipe has no such asset"
        elif asset.url != entry.url:
            yield f"assets.{name}: it locks {entry.url}, and the recipe uses {asset.url}"
    for name in sorted(set(recipe.assets) - set(lock.assets)):
        yield f"assets.{name}: the lock does not have it yet"
    packages = locked_packages(recipe)
    for name, package in sorted(lock.packages.items()):
        found = packages.get(name)
        if found is None:
            yield f"packages.{name}: the recipe compiles no such package"
        elif found.version != package.version:
            yield f"packages.{name}: it locks {package.version}, and the recipe uses {found.version}"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's too ; DEL is escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
