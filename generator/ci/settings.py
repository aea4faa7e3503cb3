"""What a CI file is filled with, checked: nothing that YAML, a shell or CI's own expressions would read otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bake.address import NO_LOGIN, quoted
from bake.errors import UsageError
from bake.reference import parse_reference
from generator.ci.requirement import installed_from

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOSTED = ("ubuntu-",)  # what the names of GitHub's own runners for Linux begin with
_LABEL = re.compile(r"[A-Za-z0-9][\w.:-]*", re.ASCII)
_BRANCH = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)
_RECIPE = re.compile(r"(?:\./)?[A-Za-z0-9_][\w./+-]*", re.ASCII)
# A requirement as pip takes it: an address, a path, a name and version; no blanks, quotes or dollars.
_REQUIREMENT = re.compile(r"[A-Za-z0-9./][\w./+:@=<>~!,\[\]#-]*", re.ASCII)
_SECRET = re.compile(r"https?://[^/@]*@|:[^/@]+@")  # a user's name alone, as in ssh://git@HOST, is none


class System(str, Enum):
    """The CI systems that there are templates for."""

    GITHUB = "github"
    GITLAB = "gitlab"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class CiOptions:
    """What was asked for; None: not said.

    Args:
        runner: labels separated by commas. main: the branch whose image is pushed. requirement: what pip installs.
    """

    system: System
    runner: str | None = None
    main: str = "main"
    requirement: str | None = None


@dataclass(frozen=True, kw_only=True)
class CiSettings:
    """What a CI file is filled with, besides the recipe's plan.

    Args:
        recipe: the recipe as it is named with ``-r`` in the repository's root. runner: labels (GitHub) or tags (GitLab)
            of the runner; empty: any. main: the branch whose image is pushed. registry: registry and path; "": from the
            CI system's variables. requirement: what pip installs.
    """

    system: System
    recipe: str
    runner: tuple[str, ...]
    main: str
    registry: str
    requirement: str

    @property
    def hosted(self) -> bool:
        """Whether the runner is one of GitHub's own, which has a fresh engine with its own settings."""
        return self.system is System.GITHUB and self.runner[0].startswith(_HOSTED)


def finish(options: CiOptions, *, recipe: str, registry: str = "") -> CiSettings:
    """Check what was chosen and fill in what was not.

    The default runner is a lab's own for GitHub and any for GitLab: the images are large, and runners that others host
    have no disk for most recipes.

    Args:
        recipe: name or path of the recipe. registry: registry and path of the image; "": not known.

    Raises:
        UsageError: a value that can't stand in a CI file; nothing says what pip installs.
    """
    default = "self-hosted,linux,x64" if options.system is System.GITHUB else ""
    labels = [label.strip() for label in (default if options.runner is None else options.runner).split(",")]
    wanted = tuple(label for label in labels if label)
    if options.system is System.GITHUB and not wanted:
        raise UsageError("no runner is named", where="--runner", remedy="write --runner self-hosted,linux,x64")
    _check(wanted, _LABEL, "--runner", "labels hold letters, digits and . _ : -")
    _check([options.main], _BRANCH, "--main", "name a branch: letters, digits and . _ / -")
    place = "name a shipped recipe, or a file by its path from the repository's root: letters, digits and . _ / + -"
    _check([recipe], _RECIPE, "--recipe", place)
    if ".." in PurePosixPath(recipe).parts:
        raise UsageError(f"{quoted(recipe)} lies outside the repository", where="--recipe", remedy=place)
    named = _registry(registry)
    needed = options.requirement or installed_from()
    _check(
        [needed],
        _REQUIREMENT,
        "--requirement",
        "write it as for pip, without blanks: git+https://HOST/REPOSITORY@COMMIT",
    )
    if _SECRET.search(needed):
        raise UsageError(
            NO_LOGIN, where="--requirement", remedy="take it out; the CI file shows it to whoever reads it"
        )
    return CiSettings(
        system=options.system,
        recipe=recipe,
        runner=wanted,
        main=options.main,
        registry=named,
        requirement=needed,
    )


def _check(values: Iterable[str], form: re.Pattern[str], where: str, remedy: str) -> None:
    for value in values:
        if not form.fullmatch(value):
            raise UsageError(f"{quoted(value)} can't stand in a CI file", where=where, remedy=remedy)


def _registry(registry: str) -> str:
    if not registry:
        return ""
    trimmed = registry.rstrip("/")
    parse_reference(f"{trimmed}/x", where="--registry")
    return trimmed
