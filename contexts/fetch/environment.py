"""What the frozen image says of its environment: read as a stranger's, before a resolver gets it.

`stand_in` makes a folder that looks to a resolver like the environment: with its packages, and nothing of their code.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

MOST_BYTES = 16 << 20
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
_PYTHON = re.compile(r"(3)\.(\d{1,2})\.(\d{1,2})[a-z0-9+]{0,10}")
_GLIBC = re.compile(r"(2)\.(\d{1,2})")
_MACHINES = ("x86_64", "aarch64")
# The platforms that uv knows: its command-line reference, --python-platform.
_UV_GLIBC = (17, 28, *range(31, 41))


@dataclass(frozen=True)
class Environment:
    """An environment, as far as it decides what is fetched for it.

    Args:
        python: its version, "3.10.14". machine: as in the tags of wheels. glibc: major and minor.
        packages: normal name -> version, without what no version can be read of. requires: normal name -> what it
            requires, without what comes from an address. editable: names of what can't be pinned.
    """

    python: str
    machine: str
    glibc: tuple[int, int]
    packages: Mapping[str, str]
    requires: Mapping[str, tuple[str, ...]]
    editable: frozenset[str]

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version of its Python."""
        major, minor = self.python.split(".")[:2]
        return int(major), int(minor)

    @property
    def platform(self) -> str:
        """The platform as uv names it: the latest that this C library serves."""
        return f"{self.machine}-manylinux_2_{max(known for known in _UV_GLIBC if known <= self.glibc[1])}"


def strangers_text(path: Path) -> str:
    """Read a file that a step of the frozen image left; ends the program where it is something else than a file.

    A link could lead to a secret of this step.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
            content = opened.read(MOST_BYTES + 1) if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else None
    except OSError as error:
        sys.exit(f"fetch: {path} can't be read: {error.strerror}")
    if content is None or len(content) > MOST_BYTES:
        sys.exit(f"fetch: {path} is no file of at most {MOST_BYTES:,} bytes")
    return content.decode("utf-8", "replace")


def read(path: Path) -> Environment:
    """Read an inventory; ends the program where it is none, or of an environment that nothing can be fetched for."""
    try:
        return _environment(json.loads(strangers_text(path)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        sys.exit(f"fetch: the inventory of the frozen environment is not understood: {error!r}")


def _environment(raw: Mapping[str, Any]) -> Environment:
    platform = raw["platform"]
    if not _PYTHON.fullmatch(raw["python"]) or platform["implementation"] != "cpython":
        raise ValueError(f"no wheels are looked for of {platform['implementation']} {raw['python']}")
    if platform["machine"] not in _MACHINES:
        raise ValueError(f"no wheels are looked for of the machine {platform['machine']!r}")
    glibc = _GLIBC.fullmatch(platform["glibc"])
    if not glibc or int(glibc[2]) < min(_UV_GLIBC):
        raise ValueError(
            f"no wheels are looked for of the C library {platform['glibc']!r}: glibc 2.17 or later is asked"
        )
    packages = {name: version for name, version in raw["packages"].items() if _is_version(version)}
    for name in packages:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no normal name of a package")
    return Environment(
        python=raw["python"],
        machine=platform["machine"],
        glibc=(int(glibc[1]), int(glibc[2])),
        packages=packages,
        requires={name: tuple(_plain(raw["requires"].get(name, ()))) for name in packages},
        editable=frozenset(raw["editable"]) & packages.keys(),
    )


def _is_version(text: str) -> bool:
    try:
        return str(Version(text)) != "" and text.isascii() and text.isprintable()
    except InvalidVersion:
        return False


def _plain(lines: Iterable[str]) -> Iterator[str]:
    """Give what can be required of an index."""
    for line in lines:
        try:
            found = Requirement(line)
        except InvalidRequirement:
            continue
        if not found.url:
            yield str(found)


def requirement(line: str) -> str:
    """Give a line that asks an index for a package, and nothing else; ends the program where it is another."""
    try:
        found = Requirement(line)
        if found.url:
            raise InvalidRequirement("it names an address")
    except InvalidRequirement as error:
        sys.exit(f"fetch: {line!r} is not fetched: {error}")
    return str(found)


def stand_in(environment: Environment, folder: Path, *, without: Iterable[str] = ()) -> Path:
    """Make a folder with the metadata of the environment's packages."""
    gone = set(without)
    for name, version in environment.packages.items():
        if name in gone:
            continue
        place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {line}" for line in environment.requires[name]]
        (place / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (place / "RECORD").touch()
    return folder
