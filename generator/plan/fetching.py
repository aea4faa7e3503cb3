"""The targets that fetch, each a group of files that are held to hashes: of a lock, or as they are resolved. Pure.

They run in the fetcher's image with the network and the secrets of the place, and get nothing of the frozen image but
data. What they fetched is mounted by targets that install it, without the network.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.plan import specs
from generator.plan.graph import ContextFile, Kind, Output, Target
from generator.plan.names import BUNDLE, FETCHER, INVENTORY, LOCK, REQUIREMENTS, TOOLS, fetch_target, source_target
from generator.recipe.groups import APT, APT_INSTALLER, BUILD, STACK, TOOLKIT, apt_packages, prebuilt_group
from generator.recipe.toolkits import WheelsToolkit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from generator.recipe.model import Recipe

    Files = Mapping[str, str]

IMAGES = {FETCHER: "FETCHER_IMAGE"}
INSTALLER = "installer"
# The programs that a build fetches for itself, by machine: their wheels on the index, with their SHA-256.
PACKAGING = {"packaging-26.3-py3-none-any.whl": "d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c"}
PROGRAMS: Mapping[str, Files] = {
    "x86_64": {
        **PACKAGING,
        "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": (
            "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19"
        ),
    },
    "aarch64": {
        **PACKAGING,
        "uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl": (
            "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe"
        ),
    },
}
_SCRIPTS = ("with-ca", "apt-ca.conf", "mirrored")
_PROGRAMS = ("__init__", "choice", "debs", "download", "environment", "pages", "prebuilt", "resolve", "tools", "wheels")


def tools() -> Target:
    """Plan what the build itself uses."""
    return Target(
        name=TOOLS,
        kind=Kind.TOOLS,
        description="uv, the programs that fetch, and the CA wrapper; mounted by other targets, never copied",
        images=IMAGES,
        values={"pinned": PROGRAMS},
        files=(
            *(ContextFile(path=name, package="contexts", resource=f"tools/{name}") for name in _SCRIPTS),
            *(
                ContextFile(path=f"fetch/{name}.py", package="contexts", resource=f"fetch/{name}.py")
                for name in _PROGRAMS
            ),
        ),
    )


def fetching(recipe: Recipe, locked: Mapping[str, Files], preferred: Mapping[str, tuple[str, ...]]) -> Iterator[Target]:
    """Plan what is fetched for the stack and, where something is compiled, for compiling."""
    kept: list[tuple[str, ...]] = [("--release", name) for name in specs.released(recipe)]
    kept += [("--without", name) for name in specs.removed(recipe)]
    packages = recipe.stack.packages
    yield _wheels(STACK, packages, locked, _preferred(preferred, STACK, kept), index=recipe.stack.index)
    toolkit = recipe.toolkit
    if toolkit is None or not any(extension.compiles for extension in recipe.extensions.values()):
        return
    yield _wheels(BUILD, toolkit.build_requires, locked, _preferred(preferred, BUILD, [("--empty",)]))
    yield _debs(APT, apt_packages(recipe), locked)
    if isinstance(toolkit, WheelsToolkit):
        yield _wheels(TOOLKIT, toolkit.install, locked, _preferred(preferred, TOOLKIT, [("--empty",)]))
    if toolkit.asset_name:
        yield _installer(recipe, toolkit.asset_name)
    if toolkit.installer_packages:
        yield _debs(APT_INSTALLER, toolkit.installer_packages, locked)


def _preferred(
    preferred: Mapping[str, tuple[str, ...]], group: str, options: list[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    return (*options, *(("--prefer", pin) for pin in preferred.get(group, ())))


def _wheels(
    group: str,
    packages: tuple[str, ...],
    locked: Mapping[str, Files],
    options: tuple[tuple[str, ...], ...],
    index: str | None = None,
) -> Target:
    known = group in locked
    return Target(
        name=fetch_target(group),
        kind=Kind.FETCH,
        description=f"the wheels of the {group}: {specs.summary(packages)}",
        inputs={TOOLS: TOOLS} if known else {TOOLS: TOOLS, INVENTORY: INVENTORY},
        images=IMAGES,
        values={
            "kind": "wheels",
            "what": f"The wheels of the {group}",
            "locked": known,
            "options": options,
            "index": index,
            "install": packages,
            "asks": packages,
        },
        files=(*specs.conversion_files("environment", "requirements"), *locked_files(group, locked)),
    )


def _debs(group: str, packages: tuple[str, ...], locked: Mapping[str, Files]) -> Target:
    return Target(
        name=fetch_target(group),
        kind=Kind.FETCH,
        description=f"packages of the distribution: {', '.join(packages)}",
        inputs={TOOLS: TOOLS},
        images=IMAGES,
        from_base=True,
        values={
            "kind": "debs",
            "what": "Packages of the distribution",
            "locked": group in locked,
            "packages": packages,
            "asks": packages,
        },
        files=locked_files(group, locked),
    )


def _installer(recipe: Recipe, name: str) -> Target:
    made_of = asset(recipe, name)
    return Target(
        name=fetch_target(INSTALLER),
        kind=Kind.FETCH,
        description=f"the toolkit's installer: {made_of['file']}",
        inputs={TOOLS: TOOLS},
        images=IMAGES,
        assets={"assets": specs.asset_variable(name)},
        values={"kind": "asset", "what": "The toolkit's installer", "asset": made_of, "asks": ()},
        args={specs.checksum_variable(name): specs.checksum_variable(name)},
    )


def asset(recipe: Recipe, name: str) -> dict[str, object]:
    """Give what a build has to know of an asset to fetch it.

    Raises:
        UsageError: nobody knows its hash.
    """
    found = recipe.assets[name]
    if found.sha256 is None:  # a lock may know what the recipe does not: so this is no matter of the recipe alone
        raise UsageError(
            "it has no sha256, in the recipe or a lock; the build checks every file that it fetches",
            where=f"assets.{name}",
            remedy="run `lock`, or write the sha256 into the recipe",
        )
    return {
        "file": found.file_name,
        "sha256": found.sha256,
        "urls": (found.url, *found.alternatives),
        "variable": specs.checksum_variable(name),
    }


def locked_files(group: str, locked: Mapping[str, Files]) -> tuple[ContextFile, ...]:
    """Give the list of a group that is locked, as a file of a context."""
    if group not in locked:
        return ()
    return (ContextFile(path="locked.json", text=json.dumps(dict(sorted(locked[group].items())), indent=1) + "\n"),)


def lock(recipe: Recipe, targets: tuple[Target, ...]) -> Target:
    """Plan the lists of all files that were fetched, by group."""
    groups = {
        target.name.removeprefix(fetch_target("")): target.name
        for target in targets
        if target.kind is Kind.FETCH and target.name != fetch_target(INSTALLER)
    }
    if recipe.extensions:
        groups[REQUIREMENTS] = REQUIREMENTS
    groups |= {
        prebuilt_group(name): source_target(name) for name, extension in recipe.extensions.items() if extension.prebuilt
    }
    return Target(
        name=LOCK,
        kind=Kind.LOCK,
        description="which files are fetched, with their hashes, for the command `lock`; no part of a bake",
        inputs=groups,
        values={"groups": tuple(groups)},
        output=Output.FILES,
    )


def bundle(targets: Iterable[Target]) -> Target:
    """Plan a folder with what all targets with the network left, each below its name."""
    folders = {Kind.FETCH: "/fetched/", Kind.SOURCE: "/source/"}
    parts = {target.name: folders.get(target.kind, "/") for target in targets if target.fetches}
    return Target(
        name=BUNDLE,
        kind=Kind.BUNDLE,
        description="what was fetched, for bakes without a network, for the command `bundle`; no part of a bake",
        inputs={target: target for target in parts},
        values={"parts": parts},
        output=Output.FILES,
    )
