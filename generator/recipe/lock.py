"""The lock: what the names of a recipe stood for, the day it was locked. A TOML file beside the recipe.

Format, version 2, keys in this order and names sorted, so that the same facts give the same bytes:

    schema = 2
    recipe = "NAME"
    platform = "linux/amd64"    that the files are for
    unlocked = ["apt"]          parts that are left out on purpose

    [base]                      the frozen image, and the digest that its name stood for
    image = "NAME:TAG"
    digest = "sha256:…"

    [fetcher]                   the image that the build fetches with, the same way

    [assets.NAME]               each asset: its address, and the content found there
    url = "https://…"
    sha256 = "…"
    size = 123

    [packages.NAME]             each package that the recipe compiles from a file with a known hash
    version = "1.2.3"
    sha256 = "…"

    [inputs]                    for each group of files, what the recipe asks for
    GROUP = ["torch==2.11.0"]

    [files.GROUP]               the files that it got, by name, with their SHA-256
    "torch-2.11.0-cp310-cp310-manylinux_2_28_x86_64.whl" = "…"

What of it still fits the recipe is found out by ``generator.recipe.fit``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import unquote

from pydantic import Field, ValidationError

from bake import untrusted
from bake.errors import EnvironmentUnfit, UsageError
from generator.recipe.document import parse_toml
from generator.recipe.fields import Digest, Sha256, Url, normalised
from generator.recipe.places import key_lines, line_of
from generator.recipe.section import Name, NonEmpty, Section, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


SUFFIX = ".lock.toml"
SCHEMA: Literal[2] = 2
# Names of wheels (PEP 427, with ! and + of versions), sdists and Debian packages (~ of versions, %3a for a colon).
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~%-]{0,254}")

LockedFile = Annotated[str, matches(_FILE, "the name of a wheel, a source archive or a package")]
LockedFiles = dict[LockedFile, Sha256]


class LockedImage(Section):
    """An image: pinned, or known by name alone where its digest is left out."""

    image: NonEmpty
    digest: Digest | None = None


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
    """A lock, as parsed; one of schema 1 has no files."""

    schema_: Literal[1, 2] = Field(default=SCHEMA, alias="schema")
    recipe: Name
    platform: NonEmpty | None = None
    unlocked: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    base: LockedImage | None = None
    fetcher: LockedImage | None = None
    assets: dict[Name, LockedAsset] = Field(default_factory=dict)
    packages: dict[Name, LockedPackage] = Field(default_factory=dict)
    inputs: dict[Name, Annotated[tuple[NonEmpty, ...], Field(strict=False)]] = Field(default_factory=dict)
    files: dict[Name, LockedFiles] = Field(default_factory=dict)


def lock_path(recipe_path: Path) -> Path:
    """Where the lock of a recipe stands: ``lab.toml`` has ``lab.lock.toml`` beside it."""
    return recipe_path.with_name(recipe_path.name.removesuffix(".toml") + SUFFIX)


def parse_lock(text: str, *, origin: str) -> Lock:
    """Read a lock.

    Raises:
        UsageError: it is not one; every mistake with its line.
    """
    remedy = "run `lock --upgrade`, which makes all of it anew, or remove the file"
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
        *_pairs({"schema": lock.schema_, "recipe": lock.recipe, "platform": lock.platform}),
    ]
    if lock.unlocked:
        out.append(f"unlocked = [{', '.join(map(_quoted, sorted(lock.unlocked)))}]")
    for name, image in (("base", lock.base), ("fetcher", lock.fetcher)):
        if image is not None:
            out += ["", f"[{name}]", *_pairs(image.model_dump())]
    for name, asset in sorted(lock.assets.items()):
        out += ["", f"[assets.{name}]", *_pairs(asset.model_dump())]
    for name, package in sorted(lock.packages.items()):
        out += ["", f"[packages.{name}]", *_pairs(package.model_dump())]
    if lock.inputs:
        out += ["", "[inputs]"]
    for name, entries in sorted(lock.inputs.items()):
        out += _listed(name, entries)
    for name, files in sorted(lock.files.items()):
        out += ["", f"[files.{name}]", *(f"{_quoted(file)} = {_quoted(files[file])}" for file in sorted(files))]
    return "\n".join(out) + "\n"


def write_lock(text: str, path: Path) -> bool:
    """Put a lock in place, whole; tells whether it changed.

    Raises:
        EnvironmentUnfit: it can't be written.
    """
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        untrusted.write(path.parent.resolve(), path.name, text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EnvironmentUnfit(
            f"the lock can't be written: {reason}", where=str(path), remedy="choose another file with -o"
        ) from error
    return True


def package_of(file: str) -> tuple[str, str]:
    """Give name (in its normal form) and version of the package that a file is of, from the file's name."""
    if file.endswith(".deb"):  # NAME_VERSION_ARCHITECTURE.deb
        name, version, *_ = f"{unquote(file)}__".split("_")
    elif file.endswith(".whl"):  # NAME-VERSION-TAGS.whl
        name, version, *_ = f"{file}--".split("-")
    else:
        name, _, version = re.sub(r"\.(tar\.\w+|tgz|zip)$", "", file).rpartition("-")
    return normalised(name), version


def pins_of(files: Iterable[str]) -> tuple[str, ...]:
    """Give the packages of files with their versions, ``name==version``."""
    return tuple(sorted(f"{name}=={version}" for name, version in map(package_of, files)))


def _pairs(values: Mapping[str, object]) -> Iterator[str]:
    for key, value in values.items():
        if value is not None:
            yield f"{key} = {_quoted(value) if isinstance(value, str) else value}"


def _listed(name: str, entries: Iterable[str]) -> list[str]:
    """Write a list with one entry a line, which is what a difference of two locks shows."""
    return [f"{name} = [", *(f"    {_quoted(entry)}," for entry in entries), "]"]


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's too ; DEL is escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
