"""The groups of files that a build fetches by hash, and what the recipe asks of each: the inputs of a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.recipe.toolkits import RunfileToolkit, WheelsToolkit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.recipe.model import Recipe

TOOLS = "tools"
STACK = "stack"
TOOLKIT = "toolkit"
BUILD = "build"
REQUIREMENTS = "requirements"
APT = "apt"
APT_INSTALLER = "apt-installer"

# Which files these are depends on what the base holds.
ON_BASE = (STACK, REQUIREMENTS, APT, APT_INSTALLER)


def inputs_of(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Give what the recipe asks for, by group: entries that people read, in the recipe's order; no group is empty."""
    return {name: tuple(entries) for name, entries in _inputs(recipe) if entries}


def _inputs(recipe: Recipe) -> Iterator[tuple[str, tuple[str, ...]]]:
    compiles = any(extension.compiles for extension in recipe.extensions.values())
    stack = tuple(_stack(recipe))
    yield TOOLS, ("uv==0.13.9",)
    yield STACK, stack
    if recipe.extensions:
        yield REQUIREMENTS, (*stack, *_extensions(recipe))
    if not compiles or recipe.toolkit is None:
        return
    yield BUILD, recipe.toolkit.build_requires
    yield APT, recipe.toolkit.apt
    if isinstance(recipe.toolkit, WheelsToolkit):
        yield TOOLKIT, recipe.toolkit.install
    if isinstance(recipe.toolkit, RunfileToolkit):
        yield APT_INSTALLER, recipe.toolkit.installer_apt


def _stack(recipe: Recipe) -> Iterator[str]:
    yield from recipe.stack.packages
    if recipe.stack.index:
        yield f"from {recipe.stack.index}"
    yield from (f"free {name}" for name in recipe.stack.may_change)
    yield from (f"without {name}" for name in recipe.stack.remove)


def _extensions(recipe: Recipe) -> Iterator[str]:
    for name, extension in recipe.extensions.items():
        yield f"{name}=={extension.version}"
        yield from extension.requires or ()
