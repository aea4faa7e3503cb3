"""Which wheel of a project an environment installs. PEP 425, PEP 600."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from .pages import GONE, Link, indexes, must_project, normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .environment import Environment

# glibc -> the older names of its platform. PEP 600.
_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST = {"x86_64": 5, "aarch64": 17}


def wheels_of(found: Iterable[Link], package: str, version: str) -> list[Link]:
    """Take the wheels of a package's version."""
    return [link for link in found if _wheel(link, package, version)]


def _wheel(link: Link, package: str, version: str) -> bool:
    try:
        name, found, _, _ = parse_wheel_filename(link.name)
    except (InvalidWheelFilename, InvalidVersion):
        return False
    return name == normal(package) and found == Version(version)


def tags_of(environment: Environment) -> list[Tag]:
    """List the tags of wheels that an environment can install, the best first."""
    major, minor = environment.release
    interpreter = f"cp{major}{minor}"
    platforms = []
    glibc_major, glibc_minor = environment.glibc
    for number in range(glibc_minor, _OLDEST[environment.machine] - 1, -1):
        names = [f"manylinux_{glibc_major}_{number}", *filter(None, [_LEGACY.get((glibc_major, number))])]
        platforms += [f"{name}_{environment.machine}" for name in names]
    platforms.append(f"linux_{environment.machine}")
    return [
        *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
    ]


def require_installable(files: Iterable[str], environment: Environment) -> None:
    """Make sure that an environment can install wheels that are locked; ends the program where it can't."""
    tags = set(tags_of(environment))
    wrong = [name for name in files if tags.isdisjoint(_tags(name))]
    if wrong:
        glibc = ".".join(map(str, environment.glibc))
        here = f"Python {environment.python} on {environment.machine} with glibc {glibc}"
        sys.exit(f"fetch: the lock is of another environment: {wrong[0]} is not for {here}\n{GONE}")


def _tags(name: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(name)[3]
    except (InvalidWheelFilename, InvalidVersion):
        return frozenset()


def best(found: Sequence[Link], tags: Sequence[Tag]) -> Link | None:
    """Choose the wheel whose tags come first, of several the latest build; None where none fits."""
    ranks = {tag: rank for rank, tag in enumerate(tags)}
    ranked = []
    for link in found:
        _, _, build, given = parse_wheel_filename(link.name)
        known = [ranks[tag] for tag in given if tag in ranks]
        if known:
            ranked.append((-min(known), build, link))
    return max(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def pinned(package: str, version: str, own: str | None, tags: Sequence[Tag]) -> Link:
    """Find the wheel of a version in the first index that has one; ends the program where none has."""
    for index in indexes(own):
        found = best(wheels_of(must_project(index, package), package, version), tags)
        if found:
            return found
    sys.exit(f"fetch: no index has a wheel of {package} {version} for this environment")
