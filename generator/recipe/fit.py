"""What of a lock still fits a recipe, and the recipe with that in it.

An entry whose name, address, version or inputs are no longer the recipe's is stale: it is told and not used. An entry
that contradicts a hash in the recipe is a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.recipe.groups import FETCHER_IMAGE, inputs_of
from generator.recipe.lock import LockedPackage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.recipe.lock import Lock, LockedAsset, LockedFiles, LockedImage
    from generator.recipe.model import Recipe

BASE, FETCHER = "base", "fetcher"
MISSING = "the lock does not have it yet"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The part of a lock that fits a recipe, one sentence for each entry that doesn't, and the parts that it lacks."""

    lock: Lock
    stale: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A recipe with its lock's facts in it, and what else the lock says.

    Args:
        fetcher: the image that fetches, by digest. files: those that are locked, by group. stale: what was not used.
        missing: what is not locked. platform: what is built for. text: the lock's, "" without one.
    """

    recipe: Recipe
    fetcher: str | None = None
    files: Mapping[str, LockedFiles] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    platform: str = ""
    text: str = ""


def fit(recipe: Recipe, lock: Lock, *, platform: str) -> Fit:
    """Find out what of a lock holds for a recipe, on the platform that is built for."""
    unfit = {part: why for part, why in _reasons(recipe, lock, platform) if why}
    files = {group: files for group, files in lock.files.items() if f"files.{group}" not in unfit}
    kept = {
        "base": None if BASE in unfit else lock.base,
        "fetcher": None if FETCHER in unfit else lock.fetcher,
        "assets": {name: entry for name, entry in lock.assets.items() if f"assets.{name}" not in unfit},
        "packages": {name: entry for name, entry in lock.packages.items() if f"packages.{name}" not in unfit},
        "inputs": {group: lock.inputs[group] for group in files},
        "files": files,
    }
    return Fit(
        lock=lock.model_copy(update=kept),
        stale=tuple(f"{part}: {why}" for part, why in unfit.items() if why != MISSING),
        missing=tuple(part for part, why in unfit.items() if why == MISSING),
    )


def apply_lock(recipe: Recipe, lock: Lock, *, origin: str, platform: str) -> Applied:
    """Put the lock's facts into the recipe.

    Raises:
        UsageError: the lock is another recipe's, of an earlier format, or contradicts what the recipe says.
    """
    require_lock_of(recipe, lock, origin=origin)
    if lock.schema_ == 1:
        raise UsageError(
            "this lock is of schema 1: it does not know which files the build fetches",
            where=origin,
            remedy="run `lock` again: it keeps the base's digest and the assets, and adds the files",
        )
    wrong = [f"{part}: {why}" for part, why in _contradictions(recipe, lock)]
    if wrong:
        raise UsageError(
            "\n  ".join(["the lock and the recipe contradict each other:", *wrong]),
            where=origin,
            remedy="find out which is right; then mend the recipe, or run `lock` again",
        )
    found = fit(recipe, lock, platform=platform)
    return Applied(
        recipe=with_facts(recipe, found.lock),
        fetcher=pinned(found.lock.fetcher),
        files=found.lock.files,
        stale=found.stale,
        missing=found.missing,
        platform=platform,
    )


def pinned(image: LockedImage | None) -> str | None:
    """Give an image by its digest; None where that is not locked."""
    return f"{image.image}@{image.digest}" if image is not None and image.digest is not None else None


def require_lock_of(recipe: Recipe, lock: Lock, *, origin: str) -> None:
    """Make sure that a lock is this recipe's.

    Raises:
        UsageError: it is another one's.
    """
    if lock.recipe != recipe.name:
        raise UsageError(
            f"this is the lock of {lock.recipe}, not of {recipe.name}",
            where=origin,
            remedy="give the right file with --lock, or run `lock` again",
        )


def with_facts(recipe: Recipe, lock: Lock) -> Recipe:
    """Give the recipe with the base's digest and the assets' hashes of a lock that fits it."""
    assets = {
        name: asset.model_copy(update=_content(lock.assets[name])) if name in lock.assets else asset
        for name, asset in recipe.assets.items()
    }
    base = recipe.base.model_copy(update={"image": pinned(lock.base) or recipe.base.image})
    return recipe.model_copy(update={"assets": assets, "base": base})


def locked_packages(recipe: Recipe) -> dict[str, LockedPackage]:
    """Those packages of the recipe whose files have a known hash."""
    found = {}
    for name, extension in recipe.extensions.items():
        sha256, version = getattr(extension, "sha256", None), getattr(extension, "version", None)
        if sha256 and version:
            found[name] = LockedPackage(version=version, sha256=sha256)
    return found


def _content(asset: LockedAsset) -> dict[str, object]:
    return {"sha256": asset.sha256, "size": asset.size}


def _reasons(recipe: Recipe, lock: Lock, platform: str) -> Iterator[tuple[str, str]]:
    """Give each part of lock and recipe, and why the lock doesn't serve it; "" where it does."""
    wrong = dict(_contradictions(recipe, lock))
    base = _base(recipe, lock)
    yield BASE, base
    yield FETCHER, _fetcher(lock)
    assets = {
        name: _asset(recipe, lock, name) or wrong.get(f"assets.{name}", "")
        for name in sorted({*recipe.assets, *lock.assets})
    }
    for name, why in assets.items():
        yield f"assets.{name}", why
    for name in sorted(lock.packages):
        yield f"packages.{name}", _package(recipe, lock, name) or wrong.get(f"packages.{name}", "")
    elsewhere = bool(lock.files) and lock.platform != platform
    yield "platform", f"it is for {lock.platform}, and {platform} is built for" if elsewhere else ""
    held = {name: entry for name, entry in lock.assets.items() if not assets[name]}
    inputs = inputs_of(with_facts(recipe, lock.model_copy(update={"assets": held})))
    another_base = base not in ("", MISSING)  # with another Python, C library or packages
    for group in dict.fromkeys((*inputs, *sorted(lock.files))):
        usable = group in lock.files and not elsewhere and not another_base
        yield f"files.{group}", _group(lock, group, inputs.get(group, ()), usable=usable)


def _base(recipe: Recipe, lock: Lock) -> str:
    wanted, _, digest = recipe.base.image.partition("@")
    if lock.base is not None and lock.base.image != wanted:
        return f"it is for {lock.base.image}, and {wanted} is used"
    if lock.base is None or lock.base.digest is None:
        return "" if BASE in lock.unlocked else MISSING
    return "" if digest in ("", lock.base.digest) else f"it locks {lock.base.digest}, and {digest} is used"


def _fetcher(lock: Lock) -> str:
    if lock.fetcher is None or lock.fetcher.image == FETCHER_IMAGE:
        return ""
    return f"it locks {lock.fetcher.image}, and {FETCHER_IMAGE} is used"


def _asset(recipe: Recipe, lock: Lock, name: str) -> str:
    asset, entry = recipe.assets.get(name), lock.assets.get(name)
    if asset is None:
        return "the recipe has no such asset"
    if entry is None:
        return "" if asset.sha256 else MISSING
    return "" if asset.url == entry.url else f"it locks {entry.url}, and the recipe uses {asset.url}"


def _package(recipe: Recipe, lock: Lock, name: str) -> str:
    package, entry = locked_packages(recipe).get(name), lock.packages[name]
    if package is None:
        return "the recipe compiles no such package"
    same = package.version == entry.version
    return "" if same else f"it locks {entry.version}, and the recipe uses {package.version}"


def _group(lock: Lock, group: str, wanted: tuple[str, ...], *, usable: bool) -> str:
    if not wanted:
        return "the recipe needs no such files"
    if not usable:
        return "" if group in lock.unlocked else MISSING
    locked = lock.inputs.get(group, ())
    gone = [entry for entry in locked if entry not in wanted]
    new = [entry for entry in wanted if entry not in locked]
    if not (gone or new):
        return ""
    return f"it is for {', '.join(gone) or 'less'}, and the recipe asks for {', '.join(new) or 'less'}"


def _contradictions(recipe: Recipe, lock: Lock) -> Iterator[tuple[str, str]]:
    for name, asset in recipe.assets.items():
        known = lock.assets.get(name)
        if known is None or known.url != asset.url:
            continue
        if asset.sha256 not in (None, known.sha256):
            yield f"assets.{name}", f"sha256 {asset.sha256} in the recipe, {known.sha256} in the lock"
        elif asset.size not in (None, known.size):
            yield f"assets.{name}", f"size {asset.size} in the recipe, {known.size} in the lock"
    for name, package in locked_packages(recipe).items():
        entry = lock.packages.get(name)
        if entry is not None and entry.version == package.version and entry.sha256 != package.sha256:
            yield f"packages.{name}", f"sha256 {package.sha256} in the recipe, {entry.sha256} in the lock"
