"""The graph of targets: immutable, checked, in a stable order. Pure: no disk, engine, clock or environment."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from enum import Enum
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.plan.names import FETCHER, fetch_target
from generator.recipe.groups import BUILD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Kind(str, Enum):
    """The kinds of target; each has a folder of its name in ``contexts``."""

    TOOLS = "tools"
    FETCH = "fetch"
    INVENTORY = "inventory"
    EXTRACT = "extract"
    PATCH = "patch"
    TORCH = "torch"
    LAYERS = "layers"
    SOURCE = "source"
    WANTED = "wanted"
    REQUIREMENTS = "requirements"
    TOOLCHAIN = "toolchain"
    WHEEL = "wheel"
    REBUILD = "rebuild"
    IMAGE = "image"
    VERIFY = "verify"
    LOCK = "lock"
    BUNDLE = "bundle"
    COMPILER_CACHE = "compiler-cache"

    def __str__(self) -> str:
        return self.value


class Output(str, Enum):
    """What a target leaves behind: only build cache, the image, or files in the build folder."""

    CACHE = "cache"
    IMAGE = "image"
    FILES = "files"


@dataclass(frozen=True, kw_only=True)
class ContextFile:
    """A file of a build context: text made by the plan, or a file of one of our packages.

    Args:
        path: its place in the context, with forward slashes.
        text: its content, where the plan made it.
        package: the package that holds it otherwise (``conversion``), as ``resource``.
    """

    path: str
    text: str | None = None
    package: str | None = None
    resource: str | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target of the bake file.

    Args:
        name: the target's name in the bake file, and of its folder.
        description: one line, shown by ``plan`` and written to the bake file.
        inputs: named contexts that are other targets: name in the Dockerfile -> target.
        images: named contexts that are images: name in the Dockerfile -> bake variable that names the image.
        assets: named contexts that may be there, such as folders of host assets: name in the Dockerfile -> bake
            variable with the folder or other context; empty stands for none: the target's own context takes its place.
        stand_in: bake variable that may name an image to take in place of this target wherever others use it.
        from_base: whether the Dockerfile starts from the frozen image or mounts it (context ``base``): none that
            fetches does.
        values: what its Dockerfile template is filled with.
        files: the files of its context, without the Dockerfile.
        args: build arguments: ARG name -> bake variable.
    """

    name: str
    kind: Kind
    description: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)
    from_base: bool = False
    values: Mapping[str, object] = field(default_factory=dict)
    files: tuple[ContextFile, ...] = ()
    args: Mapping[str, str] = field(default_factory=dict)
    output: Output = Output.CACHE
    stand_in: str = ""

    @property
    def cached(self) -> bool:
        """Whether a registry cache keeps its result.

        Not what is fetched for the stack and the toolchain: these keep what became of it. Build requirements are read
        by others too.
        """
        if self.kind is Kind.FETCH:
            return self.name == fetch_target(BUILD)
        return self.kind not in (Kind.LOCK, Kind.BUNDLE, Kind.COMPILER_CACHE)

    @property
    def cache_mode(self) -> str:
        """How much of a target's steps a registry cache keeps: ``max`` all, ``min`` what its result is made of.

        Others start from the stack and the toolchain, which targets of their own keep: with ``max`` each of them would
        send those gigabytes again, all at the same time, since BuildKit's exports do not know of each other. What was
        fetched for these goes along: without it BuildKit does not find their steps on another builder.
        """
        return "max" if self.kind in (Kind.TOOLS, Kind.TOOLCHAIN, Kind.TORCH) else "min"

    @property
    def fetches(self) -> bool:
        """Whether a step of it has the network."""
        return FETCHER in self.images


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable at the top of the bake file, which users of plain buildx may override.

    ``by_program``: a bake by this software finds the value; people have no need to.
    """

    name: str
    default: str
    description: str
    by_program: bool = False


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The targets of one bake, in topological order, and the variables they share.

    Args:
        scope: recipe and prefix; with the base, whose cache mounts and compiler caches these are (``cache_scope``).

    Raises:
        UsageError: two targets of one name, an input that is no target, or a cycle (all its names are given).
    """

    recipe: str
    origin: str
    scope: str
    targets: tuple[Target, ...]
    variables: tuple[Variable, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", _ordered(self.targets))

    def __getitem__(self, name: str) -> Target:
        for target in self.targets:
            if target.name == name:
                return target
        near = difflib.get_close_matches(name, self.names, n=1)
        meant = f'did you mean "{near[0]}"? ' if near else ""
        raise UsageError(f"there is no target {name!r}", remedy=f"{meant}targets: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all targets."""
        return tuple(target.name for target in self.targets)

    def of_kind(self, kind: Kind) -> tuple[Target, ...]:
        """The targets of one kind."""
        return tuple(target for target in self.targets if target.kind is kind)

    def ancestors(self, name: str) -> frozenset[str]:
        """All targets that must be done before this one."""
        found: set[str] = set()
        waiting = list(self[name].inputs.values())
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting.extend(self[current].inputs.values())
        return frozenset(found)

    def kept_with(self, name: str) -> str:
        """Name the target whose registry cache keeps the steps of one that has none of its own.

        That one reads it too: where BuildKit has begun with a step for a target, it looks for it in no other's caches.
        """
        return next(user.name for user in self.targets if name in user.inputs.values() and user.cache_mode == "max")

    def cache_scope(self, base: str) -> str:
        """Name whose caches are written by code of the base: nobody else's are read.

        Cache mounts have it as their namespace: docker-bake.hcl.j2 puts it together in the same way. Names, prefixes
        and references have no blanks, so no two of these are the same.
        """
        return f"{self.scope} {base}"

    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Group the targets by the earliest round in which they can start."""
        rounds: dict[str, int] = {}
        for target in self.targets:
            rounds[target.name] = 1 + max((rounds[name] for name in target.inputs.values()), default=-1)
        return tuple(
            tuple(name for name in self.names if rounds[name] == number)
            for number in range(max(rounds.values(), default=-1) + 1)
        )


def _ordered(targets: Iterable[Target]) -> tuple[Target, ...]:
    by_name: dict[str, Target] = {}
    for target in targets:
        if target.name in by_name:
            raise UsageError(f"two targets are named {target.name!r}", remedy="rename one in the recipe")
        by_name[target.name] = target
    for target in by_name.values():
        for used in target.inputs.values():
            if used not in by_name:
                raise UsageError(
                    f"target {target.name!r} uses {used!r}, and there is no such target",
                    remedy=f"targets: {', '.join(by_name)}",
                )
    sorter = TopologicalSorter({name: sorted(set(target.inputs.values())) for name, target in by_name.items()})
    try:
        return tuple(by_name[name] for name in sorter.static_order())
    except CycleError as error:
        cycle = " → ".join(reversed(error.args[1]))
        raise UsageError(
            f"the targets wait for each other: {cycle}", remedy="take one of these out of the other's `needs`"
        ) from error
