"""Finds the lock of a recipe when it is loaded, and writes it."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from bake.engine.facts import look_up_image
from bake.errors import EnvironmentUnfit, UsageError
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from generator import __version__
from generator.recipe.lock import (
    SUFFIX,
    Lock,
    LockedAsset,
    LockedBase,
    apply_lock,
    as_toml,
    lock_path,
    locked_packages,
    parse_lock,
    write_lock,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.recipe import LoadedRecipe, Recipe
    from generator.recipe.lock import Applied


def written_to(name_or_path: str) -> Path:
    """Where ``lock`` writes: beside a recipe given by path, in this folder for one that ships."""
    path = Path(name_or_path)
    return lock_path(path) if path.suffix == ".toml" or len(path.parts) > 1 else Path(f"{name_or_path}{SUFFIX}")


def locked(loaded: LoadedRecipe, name_or_path: str, explicit: Path | None) -> Applied | None:
    """Put the facts of the recipe's lock into it; None when there is no lock.

    It is looked for where ``lock`` writes it, then, for a recipe that ships, beside it in the package.

    Raises:
        UsageError: the lock that was named does not exist, is none, or contradicts the recipe.
    """
    found = _find(name_or_path, explicit)
    if found is None:
        return None
    origin, text = found
    return replace(apply_lock(loaded.recipe, parse_lock(text, origin=origin), origin=origin), text=text)


def _find(name_or_path: str, explicit: Path | None) -> tuple[str, str] | None:
    path = explicit or written_to(name_or_path)
    if explicit is not None or path.is_file():
        try:
            return str(path), path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"the lock can't be read: {reason}", where=str(path), remedy="run `lock`, or give another --lock"
            ) from error
    packaged = resources.files("generator.recipes") / path.name
    if path.parent == Path() and packaged.is_file():
        return path.name, packaged.read_text(encoding="utf-8")
    return None


def make_lock(recipe: Recipe, *, digest: str, assets: Mapping[str, tuple[str, int]]) -> Lock:
    """Put together what is to be locked.

    Args:
        recipe: without an earlier lock's facts. digest: of the base. assets: SHA-256 and size by name.
    """
    return Lock(
        schema=1,
        recipe=recipe.name,
        base=LockedBase(image=recipe.base.image.partition("@")[0], digest=digest),
        assets={
            name: LockedAsset(url=recipe.assets[name].url, sha256=sha256, size=size)
            for name, (sha256, size) in assets.items()
        },
        packages=locked_packages(recipe),
    )


def save(lock: Lock, *, origin: str, path: Path) -> bool:
    """Write the lock; tells whether the file changed."""
    return write_lock(as_toml(lock, origin=origin, version=__version__), path)


def base_digest(recipe: Recipe, *, ca_bundle: Path | None, mirror: str | None = None) -> str:
    """Digest of the frozen image: as the recipe pins it, else as this engine holds it, else as its registry says.

    Args:
        ca_bundle: PEM file with more CAs. mirror: the image's name at this site, None where it has no other.

    Raises:
        EnvironmentUnfit: neither has it.
    """
    reference = parse_reference(recipe.base.image)
    if reference.digest:
        return reference.digest
    reasons = []
    try:
        facts = look_up_image(recipe.base.image)
    except EnvironmentUnfit as error:
        reasons.append(error.message)
    else:
        if facts is not None and facts.digest:
            return facts.digest
        reasons.append("this engine does not have it" if facts is None else "this engine has it without a digest")
    if mirror is not None:
        reference = parse_reference(mirror)
    answer = Registry(reference.registry, ca_bundle=ca_bundle).manifest(reference)
    digest = answer.headers.get("docker-content-digest", "")
    if answer.outcome is Outcome.ANSWERS and digest:
        return digest
    reasons.append(f"{reference.registry} does not give it ({answer.detail or answer.outcome.value})")
    raise EnvironmentUnfit(
        f"the digest of the base image can't be found: {', and '.join(reasons)}",
        where=recipe.base.image,
        remedy=f"run `{recipe.base.remedy or f'docker pull {recipe.base.image}'}`",
    )
