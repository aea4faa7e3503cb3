"""Finds the lock of a recipe when it is loaded, makes it, and holds it against what is there today."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from bake.buildx import builders
from bake.engine.facts import look_up_image
from bake.errors import Drifted, EnvironmentUnfit, UsageError
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from generator import __version__
from generator.recipe.fields import normalised
from generator.recipe.fit import (
    BASE,
    FETCHER,
    MISSING,
    Applied,
    apply_lock,
    fit,
    locked_packages,
    require_lock_of,
    with_facts,
)
from generator.recipe.groups import FETCHER_IMAGE, REQUIREMENTS, STACK, inputs_of
from generator.recipe.lock import (
    SCHEMA,
    SUFFIX,
    Lock,
    LockedAsset,
    LockedImage,
    as_toml,
    lock_path,
    package_of,
    parse_lock,
    pins_of,
    write_lock,
)
from generator.resolve.site import mirrored_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.recipe import Recipe
    from generator.recipe.lock import LockedFiles
    from generator.resolve.facts import Facts


@dataclass(frozen=True, kw_only=True)
class LockOptions:
    """What was asked of ``lock``.

    Args:
        file: where the lock is written. upgrade: make it anew, or only ``names``: packages and parts of it.
        without: parts that are left out. check: only tell what drifted.

    Raises:
        UsageError: some of them contradict each other.
    """

    file: Path | None = None
    upgrade: bool = False
    names: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    check: bool = False

    def __post_init__(self) -> None:
        if self.names and not self.upgrade:
            raise UsageError(
                "names say what is made anew", where=" ".join(self.names), remedy="give --upgrade, or no names"
            )
        if self.check and (self.upgrade or self.without or self.file):
            raise UsageError("it changes nothing", where="--check", remedy="give it alone; --lock names another file")

    @property
    def everything_anew(self) -> bool:
        """Whether nothing of an earlier lock stays."""
        return self.upgrade and not self.names


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What stays of an earlier lock; of a group where only some packages are made anew, the versions of the others."""

    lock: Lock
    preferred: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def written_to(name_or_path: str) -> Path:
    """Where ``lock`` writes: beside a recipe given by path, in this folder for one that ships."""
    path = Path(name_or_path)
    return lock_path(path) if path.suffix == ".toml" or len(path.parts) > 1 else Path(f"{name_or_path}{SUFFIX}")


def builder_platform(builder: str | None, *, platform: str) -> str:
    """Give the platform that a builder builds for; this machine's where nobody tells."""
    try:
        found = builders.look_up(builder)
    except EnvironmentUnfit:
        return platform
    return (found.platform if found else "") or platform


def locked(
    recipe: Recipe, name_or_path: str, explicit: Path | None, *, platform: str, builder: str | None = None
) -> Applied:
    """Put the facts of the recipe's lock into it, where there is one.

    It is looked for where ``lock`` writes it, then, for a recipe that ships, beside it in the package. The builder is
    asked for its platform where the lock is not for this machine's; else ``preflight`` holds them against each other.

    Raises:
        UsageError: the lock that was named does not exist, is none, or contradicts the recipe.
    """
    found = _find(explicit or written_to(name_or_path), required=explicit is not None)
    if found is None:
        nothing = Lock(recipe=recipe.name)
        return Applied(recipe=recipe, missing=fit(recipe, nothing, platform=platform).missing, platform=platform)
    origin, text = found
    lock = parse_lock(text, origin=origin)
    if lock.files and lock.platform != platform:
        platform = builder_platform(builder, platform=platform)
    applied = apply_lock(recipe, lock, origin=origin, platform=platform)
    return replace(applied, text=text)


def earlier(recipe: Recipe, path: Path) -> Lock | None:
    """Read the lock that is gone on from; one of schema 1 too.

    Raises:
        UsageError: it can't be read, is none, or is another recipe's.
    """
    found = _find(path, required=False)
    if found is None:
        return None
    origin, text = found
    lock = parse_lock(text, origin=origin)
    require_lock_of(recipe, lock, origin=origin)
    return lock


def _find(path: Path, *, required: bool) -> tuple[str, str] | None:
    if required or path.is_file():
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


def kept(recipe: Recipe, before: Lock | None, options: LockOptions, *, platform: str) -> Kept:
    """Give what of an earlier lock stays: what fits the recipe, and is neither to be made anew nor left out.

    Raises:
        UsageError: a name is neither a package of the lock nor a part of it.
    """
    parts = (BASE, FETCHER, *inputs_of(recipe))
    if unknown := sorted(set(options.without) - set(parts)):
        raise UsageError(
            f"there is no part {unknown[0]!r} to leave out", where="--without", remedy=f"parts: {', '.join(parts)}"
        )
    before = before or Lock(recipe=recipe.name)
    packages, anew = _named(before, options.names, parts)
    left = {*options.without, *(set(before.unlocked) - anew)}
    fitting = fit(recipe, before, platform=platform).lock
    gone = {*left, *anew, *(inputs_of(recipe) if BASE in anew else ())}
    files = {group: files for group, files in fitting.files.items() if group not in gone}
    moved = {group: _others(files[group], packages) for group in files}
    moved = {group: others for group, others in moved.items() if len(others) < len(files[group])}
    if REQUIREMENTS in files and STACK not in {*(files.keys() - moved.keys()), *left}:
        moved.setdefault(REQUIREMENTS, files[REQUIREMENTS])  # what the new stack lacks may be something else
    files = {group: files[group] for group in files if group not in moved}
    lock = fitting.model_copy(
        update={
            "schema_": SCHEMA,
            "platform": platform,
            "unlocked": tuple(part for part in parts if part in left),
            "base": None if BASE in gone else fitting.base,
            "fetcher": None if FETCHER in gone else fitting.fetcher,
            "inputs": {group: fitting.inputs[group] for group in files},
            "files": files,
        }
    )
    return Kept(lock=lock, preferred={group: pins_of(others) for group, others in moved.items()})


def _named(before: Lock, names: tuple[str, ...], parts: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Tell packages and parts apart."""
    known = {package_of(file)[0] for files in before.files.values() for file in files}
    packages = {normalised(name) for name in names if name not in parts}
    if unknown := sorted(packages - known):
        near = difflib.get_close_matches(unknown[0], (*known, *parts), n=1)
        raise UsageError(
            f"the lock has no package {unknown[0]!r}",
            where="--upgrade",
            remedy=(f'did you mean "{near[0]}"? ' if near else "") + f"parts of it are {', '.join(parts)}",
        )
    return packages, {name for name in names if name in parts}


def _others(files: LockedFiles, packages: set[str]) -> LockedFiles:
    return {file: sha256 for file, sha256 in files.items() if package_of(file)[0] not in packages}


def missing(recipe: Recipe, lock: Lock) -> tuple[str, ...]:
    """Name the groups that are to be locked and have no files yet."""
    return tuple(group for group in inputs_of(recipe) if group not in lock.files and group not in lock.unlocked)


def images_to_lock(recipe: Recipe, lock: Lock, facts: Facts, *, own_fetcher: bool) -> Lock:
    """Add the images that the lock lacks, unless they are left out: the base, and what fetches.

    Args:
        recipe: without a lock's facts. lock: what stays. own_fetcher: the place has its own, which no lock names.

    Raises:
        EnvironmentUnfit: nobody tells a digest.
    """
    name = recipe.base.image.partition("@")[0]
    base = lock.base if lock.base is not None and lock.base.digest else None
    if base is None:
        digest = None if BASE in lock.unlocked else base_digest(recipe, facts)
        base = LockedImage(image=name, digest=digest)
    fetcher = lock.fetcher
    if fetcher is None and not own_fetcher and FETCHER not in lock.unlocked:
        digest = image_digest(FETCHER_IMAGE, facts, remedy=f"docker pull {FETCHER_IMAGE}", part=FETCHER)
        fetcher = LockedImage(image=FETCHER_IMAGE, digest=digest)
    return lock.model_copy(update={"base": base, "fetcher": fetcher})


def with_assets(recipe: Recipe, lock: Lock, assets: Mapping[str, tuple[str, int]]) -> Lock:
    """Add what is known of files beside groups: SHA-256 and size of assets by name, and the recipe's packages."""
    locked = {
        name: LockedAsset(url=recipe.assets[name].url, sha256=sha256, size=size)
        for name, (sha256, size) in assets.items()
    }
    return lock.model_copy(update={"assets": locked, "packages": locked_packages(recipe)})


def with_files(recipe: Recipe, lock: Lock, files: Mapping[str, LockedFiles]) -> Lock:
    """Add the files of groups that were missing."""
    inputs = {group: inputs for group, inputs in inputs_of(with_facts(recipe, lock)).items() if group in files}
    return lock.model_copy(update={"inputs": {**lock.inputs, **inputs}, "files": {**lock.files, **files}})


def summary(lock: Lock) -> str:
    """Say what is locked, in a few words."""
    count = sum(map(len, lock.files.values()))
    base = f"base {lock.base.digest[:19]}, " if lock.base and lock.base.digest else ""
    return f"{base}{len(lock.assets)} assets, {count} files"


def save(lock: Lock, *, origin: str, path: Path) -> bool:
    """Write the lock; tells whether the file changed."""
    return write_lock(as_toml(lock, origin=origin, version=__version__), path)


def check(recipe: Recipe, before: Lock | None, facts: Facts, *, path: Path) -> str:
    """Hold the lock against the recipe and, where it has the base's digest, against what that name stands for today.

    No index is asked: newer versions there are no drift. Gives what was found, in words.

    Raises:
        Drifted: they differ; each difference is named. EnvironmentUnfit: nobody tells the base's digest.
    """
    if before is None:
        raise Drifted("there is no lock", where=str(path), remedy="run `lock`")
    drifted = ["it is of schema 1, which knows no files"] if before.schema_ < SCHEMA else []
    found = fit(recipe, before, platform=facts.platform)
    drifted += [*found.stale, *(f"{part}: {MISSING}" for part in found.missing)]
    locked_base = found.lock.base
    if locked_base is not None and locked_base.digest is not None:
        today = base_digest(recipe, facts)
        if today != locked_base.digest:
            drifted.append(f"base: {locked_base.image} is {today} now, and {locked_base.digest} is locked")
    if drifted:
        raise Drifted(
            "\n  ".join(["the lock does not fit what is there today:", *drifted]),
            where=str(path),
            remedy="run `lock`, which keeps what fits; `lock --upgrade base` takes the base that is there today",
        )
    pinned_base = locked_base is not None and locked_base.digest is not None
    return f"fits the recipe, and {'the base has not moved' if pinned_base else 'does not lock the base'}"


def base_digest(recipe: Recipe, facts: Facts) -> str:
    """Give the digest of the frozen image: as the recipe pins it, or as ``image_digest`` finds it."""
    image = recipe.base.image
    return parse_reference(image).digest or image_digest(
        image, facts, remedy=recipe.base.remedy or f"docker pull {image}", part=BASE
    )


def image_digest(image: str, facts: Facts, *, remedy: str, part: str) -> str:
    """Give the digest of an image: as this engine holds it, else as its registry, or that one's mirror, says.

    Raises:
        EnvironmentUnfit: neither has it.
    """
    reasons = []
    try:
        found = look_up_image(image)
    except EnvironmentUnfit as error:
        reasons.append(error.message)
    else:
        if found is not None and found.digest:
            return found.digest
        reasons.append("this engine does not have it" if found is None else "this engine has it without a digest")
    reference = parse_reference(mirrored_image(image, facts.mirrors))
    answer = Registry(reference.registry, ca_bundle=facts.ca_bundle).manifest(reference)
    digest = answer.headers.get("docker-content-digest", "")
    if answer.outcome is Outcome.ANSWERS and digest:
        return digest
    reasons.append(f"{reference.registry} does not give it ({answer.detail or answer.outcome.value})")
    raise EnvironmentUnfit(
        f"the digest of the image can't be found: {', and '.join(reasons)}",
        where=image,
        remedy=f"run `{remedy}`, or leave it out: lock --without {part}",
    )
