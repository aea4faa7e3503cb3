"""Recipe in, graph of targets out. Pure: the only facts used are those given."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING

from generator.plan import specs
from generator.plan.compiling import compiler_cache, toolchain, wheel
from generator.plan.driver import oldest_driver, requirement
from generator.plan.fetching import bundle, fetching, lock, tools
from generator.plan.graph import ContextFile, Graph, Kind, Output, Target, Variable
from generator.plan.layers import layers, part_count
from generator.plan.names import (
    EXTRACT,
    IMAGE,
    INVENTORY,
    LAYERS,
    PATCH,
    REBUILD,
    REQUIREMENTS,
    TOOLS,
    TORCH,
    VERIFY,
    fetch_target,
    wheel_target,
)
from generator.plan.sources import requirements, source
from generator.plan.specs import conversion_files, environment
from generator.recipe.groups import FETCHER_IMAGE, STACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.recipe.model import Patch, Recipe

HOOK = "image_uplift_device"
CA_BUNDLE_SECRET = "ca-bundle"  # noqa: S105  the name of a secret, not a secret


def build_graph(
    recipe: Recipe,
    *,
    origin: str = "",
    build_dir: str = "build",
    layer_limit_mib: int | None = None,
    locked: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    preferred: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> Graph:
    """Plan the uplift of a recipe.

    Args:
        recipe: what to plan. origin: the recipe's file, for the header of the bake file.
        build_dir: where the rendered folder will stand, as seen from where buildx is started.
        layer_limit_mib: the largest layer that the place's registry takes, in MiB; None: any.
        locked: the files to fetch, SHA-256 by name, of each group that is locked; the others are resolved.
        preferred: versions to keep where that is possible, of groups that are resolved: ``NAME==VERSION``.

    Raises:
        UsageError: the recipe asks for a target that does not exist, or for a cycle; the limit is too low.
    """
    fetched = tuple(fetching(recipe, locked, preferred))
    targets = [tools(), _inventory(recipe), *fetched, _torch(recipe), lock(recipe, fetched)]
    if any(extension.compiles for extension in recipe.extensions.values()):
        targets += [toolchain(recipe), compiler_cache(recipe)]
    if recipe.extensions:
        targets += [source(recipe, name, locked) for name in recipe.extensions]
        targets.append(requirements(recipe, locked, preferred))
    targets += [bundle(targets), *(wheel(recipe, name) for name in recipe.extensions)]
    if recipe.patch:
        targets.append(_patch(recipe, recipe.patch))
    if recipe.models:
        targets += [_extract(recipe), _rebuild(recipe)]
    parts = part_count(recipe, layer_limit_mib)
    if layer_limit_mib is not None and parts > 1:
        targets.append(layers(recipe, count=parts, limit_mib=layer_limit_mib))
    targets += [_image(recipe, stack=LAYERS if parts > 1 else TORCH), _verify(recipe)]
    return Graph(
        recipe=recipe.name,
        origin=origin,
        scope=f"{recipe.name} {recipe.base.prefix}",
        targets=tuple(targets),
        variables=tuple(_variables(recipe, build_dir)),
    )


def _variables(recipe: Recipe, build_dir: str) -> Iterator[Variable]:
    """Give the variables that people set, and then those that a bake by this software finds."""
    for name, default, description in _variables_of_people(recipe):
        yield Variable(name=name, default=default, description=description)
    for name, default, description in _variables_of_the_program(recipe, build_dir):
        yield Variable(name=name, default=default, description=description, by_program=True)


def _variables_of_people(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    yield "REGISTRY", "", "Registry (and path) that the image is named in; empty: a local name"
    yield "TAG", recipe.image.tag, "Name and tag of the image"
    yield "MORE_TAGS", "", "More names and tags of the image, with spaces between them"
    yield "IMAGE_SOURCE", "", "Label: address of the repository that the image is built from"
    yield "IMAGE_REVISION", "", "Label: revision in that repository"
    yield "IMAGE_VERSION", "", "Label: version of the image"
    yield "BASE_IMAGE", recipe.base.image, "The frozen image"
    if recipe.toolkit and recipe.toolkit.devel_image:
        yield "TOOLKIT_IMAGE", recipe.toolkit.devel_image, "The CUDA devel image that the toolkit is taken from"
    yield "FETCHER_IMAGE", FETCHER_IMAGE, "The image that fetches: Python and, for the distribution's packages, apt"
    for name, asset in recipe.assets.items():
        yield specs.asset_variable(name), "", f"Folder that holds {asset.file_name}; empty: the build fetches it"
        yield specs.checksum_variable(name), asset.sha256 or "", f"SHA-256 of {asset.file_name}"
    archs = ";".join(recipe.stack.archs)
    yield "TORCH_CUDA_ARCH_LIST", archs, "Compute capabilities that extensions are compiled for"
    yield "MAX_JOBS", "", "Compile jobs of one target; empty: from cores and memory"
    yield "NVCC_THREADS", "", "Archs that one nvcc compiles at a time; empty: from cores and jobs"
    yield "CACHE_REF", "", "Repository of the registry cache, one tag per target; empty: none"
    yield "CACHE_BRANCH", "", "Branch whose cache is read before the main branch's, and written; empty: the main branch"
    yield "CACHE_MOUNTS", "", "Whose cache mounts are used, such as pull-request; empty: the usual ones"
    yield "CACHE_FROM", "", "More caches to read, as of --cache-from, with ; between them; {target}: the target's name"
    yield "CACHE_TO", "", "More caches to write, as of --cache-to, in the same form"
    yield "CA_BUNDLE", "", "PEM file of a private CA, handed to the steps that download as a secret"
    yield "NETRC", "", "Credentials for mirrors in netrc format, handed to the steps that download as a secret"
    yield "MIRRORS", "", "Table of mirrors, handed to the steps that download as a secret"


def _variables_of_the_program(recipe: Recipe, build_dir: str) -> Iterator[tuple[str, str, str]]:
    yield "BUILD_DIR", build_dir, "This folder, seen from where buildx is started"
    yield "BASE_USER", "", "User that the frozen image ends as, and so the new one; empty: root"
    yield "NVIDIA_REQUIRE", "kept", "new: the frozen image sets NVIDIA_REQUIRE_CUDA, and it is rewritten; or kept"
    yield "CACHE_EXACT", "", "Targets whose cache of just these inputs is there: TARGET=TAG, with ; between them"
    for name, extension in recipe.extensions.items():
        if extension.compiles:
            yield specs.wheel_variable(name), "", f"Image with the wheel of {name}, to take it from; empty: compile it"
            yield specs.compiler_cache_variable(name), "", f"docker-image://… with the compiler cache of {name}"


def _inventory(recipe: Recipe) -> Target:
    return Target(
        name=INVENTORY,
        kind=Kind.INVENTORY,
        description="packages and conflicts of the frozen environment",
        inputs={TOOLS: TOOLS},
        from_base=True,
        values={**environment(recipe), "pythons": recipe.stack.python},
        files=conversion_files("environment"),
    )


def _torch(recipe: Recipe) -> Target:
    return Target(
        name=TORCH,
        kind=Kind.TORCH,
        description=f"the new stack in the environment: {specs.summary(recipe.stack.packages)}",
        inputs={name: name for name in (TOOLS, INVENTORY, fetch_target(STACK))},
        from_base=True,
        values={
            **environment(recipe),
            "install": recipe.stack.packages,
            "modules": specs.modules(recipe),
            "index": recipe.stack.index,
            "remove": specs.removed(recipe),
            "release": specs.released(recipe),
        },
        files=conversion_files("environment"),
    )


def _patch(recipe: Recipe, patch: Patch) -> Target:
    return Target(
        name=PATCH,
        kind=Kind.PATCH,
        description="torch.load calls that the new torch would refuse, mended on the syntax tree",
        from_base=True,
        values={**environment(recipe), "roots": patch.roots, "codemods": patch.codemods},
        files=conversion_files("patch"),
    )


def _extract(recipe: Recipe) -> Target:
    return Target(
        name=EXTRACT,
        kind=Kind.EXTRACT,
        description="the pickled models' object graphs and outputs, recorded in the old environment",
        from_base=True,
        values=environment(recipe),
        files=(
            *conversion_files("models"),
            ContextFile(path="models.json", text=specs.models_json(recipe)),
        ),
    )


def _rebuild(recipe: Recipe) -> Target:
    wheels = [wheel_target(name) for name in specs.needed_by_models(recipe)]
    wheels += [REQUIREMENTS] if wheels else []
    return Target(
        name=REBUILD,
        kind=Kind.REBUILD,
        description="the models carried into the new environment, each proven by its object graph and its probe",
        inputs={name: name for name in (TOOLS, TORCH, EXTRACT, *wheels)},
        values={**environment(recipe), "wheels": tuple(wheels)},
        files=(
            *conversion_files("models"),
            ContextFile(path="models.json", text=specs.models_json(recipe)),
        ),
    )


def _image(recipe: Recipe, *, stack: str) -> Target:
    wheels = tuple(wheel_target(name) for name in recipe.extensions)
    wheels += (REQUIREMENTS,) if wheels else ()
    inputs = {name: name for name in (TOOLS, stack, *wheels)}
    if recipe.patch:
        inputs[PATCH] = PATCH
    if recipe.models:
        inputs[REBUILD] = REBUILD
    held_back = specs.held_back(recipe)
    return Target(
        name=IMAGE,
        kind=Kind.IMAGE,
        description="the uplifted image: new stack, compiled wheels, patched source, migrated models",
        inputs=inputs,
        values={
            **environment(recipe),
            "recipe": recipe.name,
            "stack": stack,
            "wheels": wheels,
            "patch": recipe.patch is not None,
            "models": bool(recipe.models),
            "held_back": held_back,
            "require": requirement(recipe.stack.cuda),
            "driver": oldest_driver(recipe.stack.cuda),
        },
        files=_hook(held_back) if held_back else (),
        args={"BASE_USER": "BASE_USER", "NVIDIA_REQUIRE": "NVIDIA_REQUIRE"},
        output=Output.IMAGE,
    )


def _hook(held_back: Mapping[str, object]) -> tuple[ContextFile, ...]:
    """Give the module that keeps packages off cards, and the line that starts it with every interpreter."""
    call = f"import {HOOK}; {HOOK}.install({json.dumps(held_back)})\n"
    return (
        ContextFile(path=f"device/{HOOK}.py", package="contexts", resource=f"image/{HOOK}.py"),
        ContextFile(path=f"device/{HOOK}.pth", text=call),
    )


def _verify(recipe: Recipe) -> Target:
    inputs = {name: name for name in (TOOLS, INVENTORY, IMAGE)}
    if recipe.patch:
        inputs[PATCH] = PATCH
    if recipe.models:
        inputs[EXTRACT] = EXTRACT
    return Target(
        name=VERIFY,
        kind=Kind.VERIFY,
        description="checks run on the image; exports only their report",
        inputs=inputs,
        from_base=True,  # mounted: the report says which of its bytes are dead
        values={**environment(recipe), "patch": recipe.patch is not None, "models": bool(recipe.models)},
        files=(
            *conversion_files("environment", "patch", "models", "verify"),
            ContextFile(path="verify.json", text=specs.verify_json(recipe)),
        ),
        args={"TORCH_CUDA_ARCH_LIST": "TORCH_CUDA_ARCH_LIST"},
        output=Output.FILES,
    )
