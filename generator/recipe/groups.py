"""The groups of files that a build fetches by hash, and what the recipe asks of each: the inputs of a lock.

What the build uses itself, uv and the programs that fetch, is no such group: this software holds it to hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.recipe.toolkits import WheelsToolkit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.recipe.extensions import ExtensionBase
    from generator.recipe.model import Recipe

# What fetches: Python, and apt where packages are needed. The place may have another one.
FETCHER_IMAGE = "docker.io/library/python:3.12-slim-bookworm"
STACK = "stack"
TOOLKIT = "toolkit"
BUILD = "build"
REQUIREMENTS = "requirements"
APT = "apt"
APT_INSTALLER = "apt-installer"
_PREBUILT = "prebuilt-"

# A compile can't do without these, whatever the recipe lists.
COMPILERS = ("g++", "ccache")


def prebuilt_group(extension: str) -> str:
    """Name the group of files that an extension's prebuilt wheel is."""
    return f"{_PREBUILT}{extension}"


def prebuilt_extension(group: str) -> str:
    """Name the extension whose prebuilt wheel a group is; "" where it is none."""
    return group.removeprefix(_PREBUILT) if group.startswith(_PREBUILT) else ""


def apt_packages(recipe: Recipe) -> tuple[str, ...]:
    """Name what is installed of the distribution: what the recipe lists, and whatever a compile needs besides."""
    listed = recipe.toolkit.apt if recipe.toolkit else ()
    sources = (package for extension in recipe.extensions.values() for package in extension.apt)
    return tuple(dict.fromkeys((*listed, *COMPILERS, *sources)))


def inputs_of(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Give what the recipe asks for, by group: entries that people read, in the recipe's order; no group is empty."""
    return {name: tuple(entries) for name, entries in _inputs(recipe) if entries}


def _inputs(recipe: Recipe) -> Iterator[tuple[str, tuple[str, ...]]]:
    stack = tuple(_stack(recipe))
    yield STACK, stack
    for name, extension in recipe.extensions.items():
        if extension.prebuilt:
            page = extension.values(recipe.stack)["page"]
            yield prebuilt_group(name), (f"{name}=={extension.full_version(recipe.stack)}", f"from {page}")
    if recipe.extensions:
        yield REQUIREMENTS, (*stack, *_extensions(recipe))
    if recipe.toolkit is None or not any(extension.compiles for extension in recipe.extensions.values()):
        return
    yield BUILD, recipe.toolkit.build_requires
    yield APT, apt_packages(recipe)
    if isinstance(recipe.toolkit, WheelsToolkit):
        yield TOOLKIT, recipe.toolkit.install
    yield APT_INSTALLER, recipe.toolkit.installer_packages


def _stack(recipe: Recipe) -> Iterator[str]:
    yield from recipe.stack.packages
    if recipe.stack.index:
        yield f"from {recipe.stack.index}"
    yield from (f"free {name}" for name in recipe.stack.may_change)
    yield from (f"without {name}" for name in recipe.stack.remove)


def _extensions(recipe: Recipe) -> Iterator[str]:
    for name, extension in recipe.extensions.items():
        yield f"{name}=={extension.full_version(recipe.stack)}"
        yield from (f"{name} {key} {value}" for key, value in _source(recipe, extension).items() if value)
        yield from (f"{name} env {variable}={value}" for variable, value in extension.env.items())
        yield from extension.requires or ()


def _source(recipe: Recipe, extension: ExtensionBase) -> dict[str, object]:
    """Give what a source is known by: what it requires is read from it, with its environment."""
    found = {"commit": extension.stated_commit, **extension.values(recipe.stack)}
    if extension.asset_name:
        asset = recipe.assets[extension.asset_name]
        found["content"] = asset.sha256 or asset.url
    return found
