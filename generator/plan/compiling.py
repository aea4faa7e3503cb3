"""The targets that yield wheels of extensions: the toolchain, and one target per extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.plan import names, specs
from generator.plan.fetching import INSTALLER
from generator.plan.graph import ContextFile, Kind, Target
from generator.plan.names import COMPILER_CACHE, TOOLCHAIN, TOOLS, TORCH, source_target, wheel_target
from generator.recipe.groups import APT, APT_INSTALLER, BUILD, TOOLKIT
from generator.recipe.toolkits import WheelsToolkit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.recipe.extensions import Extension
    from generator.recipe.model import Recipe

_SCRIPTS = (
    "compile.py",
    "source_tree.py",
    "budget.py",
    "fact.py",
    "slot.py",
    "flags.py",
    "precompiled.py",
)


def toolchain(recipe: Recipe) -> Target:
    """Plan the compiler and the CUDA toolkit, from whichever source the recipe names."""
    toolkit = recipe.toolkit
    if toolkit is None:  # the recipe check refuses compiled extensions without a toolkit
        raise AssertionError("extensions without a toolkit")
    fetched = [BUILD, APT]
    fetched += [TOOLKIT] if isinstance(toolkit, WheelsToolkit) else []
    fetched += [INSTALLER] if toolkit.asset_name else []
    fetched += [APT_INSTALLER] if toolkit.installer_packages else []
    return Target(
        name=TOOLCHAIN,
        kind=Kind.TOOLCHAIN,
        description=f"compiler and CUDA {recipe.stack.cuda} toolkit; never part of the image",
        inputs={name: name for name in (TOOLS, *map(names.fetch_target, fetched))},
        images={names.TOOLKIT_IMAGE: "TOOLKIT_IMAGE"} if toolkit.devel_image else {},
        assets={"assets": specs.asset_variable(toolkit.asset_name)} if toolkit.asset_name else {},
        from_base=True,
        values={
            **specs.environment(recipe),
            "source": toolkit.source,
            "whole": toolkit.whole,
            "cuda": recipe.stack.cuda,
            "installer": recipe.assets[toolkit.asset_name].file_name if toolkit.asset_name else "",
            **toolkit.values(),
            "build_requires": toolkit.build_requires,
        },
        files=(ContextFile(path=toolkit.script, package="contexts", resource=f"toolchain/{toolkit.script}"),),
    )


def wheel(recipe: Recipe, name: str) -> Target:
    """Plan the wheel of one extension: found prebuilt, or compiled."""
    extension = recipe.extensions[name]
    needs = {wheel_target(needed): wheel_target(needed) for needed in extension.needs}
    compiles = {TOOLCHAIN: TOOLCHAIN, TORCH: TORCH, **needs} if extension.compiles else {}
    return Target(
        name=wheel_target(name),
        kind=Kind.WHEEL,
        description=f"{name} {extension.version} {extension.made}",
        inputs={"source": source_target(name), **compiles},
        from_base=extension.compiles,  # below toolchain and torch: what its key holds
        values={
            **specs.environment(recipe),
            "package": name,
            "version": extension.version,
            "full_version": specs.full_version(recipe, name),
            "source": extension.source,
            "compiles": extension.compiles,
            "fallback": extension.prebuilt,  # compiled only where the source target found no wheel
            "env": dict(sorted(extension.env.items())),
            "needs": tuple(needs),
            "stage": names.COMPILE_STAGE,
            "options": tuple(_options(recipe, name)),
        },
        files=_files(extension),
        args={"TORCH_CUDA_ARCH_LIST": "TORCH_CUDA_ARCH_LIST"} if extension.compiles else {},
        stand_in=specs.wheel_variable(name) if extension.compiles else "",
    )


def compiler_cache(recipe: Recipe) -> Target:
    """Plan the artifacts that carry the compiler cache of each extension from one builder to another."""
    packages = tuple(name for name, extension in recipe.extensions.items() if extension.compiles)
    return Target(
        name=COMPILER_CACHE,
        kind=Kind.COMPILER_CACHE,
        description="the compiler caches, loaded into this builder or saved as artifacts; no part of a bake",
        inputs={TOOLCHAIN: TOOLCHAIN},
        assets={names.saved_context(name): specs.compiler_cache_variable(name) for name in packages},
        from_base=True,
        values={
            **specs.environment(recipe),
            "moment": names.MOMENT,
            "caches": [
                {
                    "package": name,
                    "saved": names.saved_context(name),
                    "load": names.load_stage(name),
                    "save": names.save_stage(name),
                }
                for name in packages
            ],
        },
        files=(ContextFile(path="carry.py", package="contexts", resource="compiler-cache/carry.py"),),
    )


def _options(recipe: Recipe, name: str) -> Iterator[tuple[str, ...]]:
    """Give what compile.py is told of an extension beside its name and places."""
    extension = recipe.extensions[name]
    if name in specs.needed_by_models(recipe) or _is_needed(recipe, name):
        yield ("--awaited",)
    if extension.own_archs:
        yield ("--own-archs",)
    if extension.compile_together:
        yield ("--compile-together",)
    if local := specs.local_version(recipe, name):
        yield "--local", local
    if extension.stated_commit:
        yield "--commit", extension.stated_commit


def _is_needed(recipe: Recipe, name: str) -> bool:
    return any(name in extension.needs for extension in recipe.extensions.values())


def _files(extension: Extension) -> tuple[ContextFile, ...]:
    compiled = _SCRIPTS if extension.compiles else ()
    together = ("groups.py",) if extension.compile_together else ()  # the key of no other wheel has it
    return tuple(
        ContextFile(path=f"scripts/{name}", package="contexts", resource=f"wheel/{name}")
        for name in (*compiled, *together)
    )
