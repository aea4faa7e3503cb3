"""The JSON specifications that the conversion scripts read, made from a recipe, and the files of those scripts."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

from conversion.models.model_spec import SCHEMA as MODELS_SCHEMA
from generator.plan.driver import oldest_driver, requirement
from generator.plan.graph import ContextFile
from generator.recipe.fields import normalised, pinned_version, requirement_name
from generator.recipe.models import as_json

if TYPE_CHECKING:
    from generator.recipe.model import Recipe


def environment(recipe: Recipe) -> dict[str, object]:
    """Give the values of every template: where the environment is."""
    return {"prefix": recipe.base.prefix, "python": f"{recipe.base.prefix}/bin/python"}


def conversion_files(*folders: str) -> tuple[ContextFile, ...]:
    """Give folders of ``conversion``, whole, and the modules above them as files of a context.

    A target mounts the folders that its command imports, and no more: a change in one of them runs again only the
    targets that use it.
    """
    top = resources.files("conversion")
    places = [("", top), *((f"{folder}/", top / folder) for folder in folders)]
    return tuple(
        ContextFile(path=f"conversion/{path}", package="conversion", resource=path)
        for above, place in places
        for path in sorted(f"{above}{entry.name}" for entry in place.iterdir() if entry.name.endswith(".py"))
    )


def modules(recipe: Recipe) -> tuple[str, ...]:
    """Name the modules of the stack's packages, as they are usually called: ``torch_geometric`` of torch-geometric."""
    return tuple(requirement_name(requirement).replace("-", "_") for requirement in recipe.stack.packages)


def removed(recipe: Recipe) -> tuple[str, ...]:
    """Name the packages taken out of the environment before the new stack comes in.

    Those that the recipe removes, and the old builds of what is compiled anew: bound to the old torch's ABI,
    they could not be imported.
    """
    return tuple(dict.fromkeys(normalised(name) for name in (*recipe.stack.remove, *recipe.extensions)))


def released(recipe: Recipe) -> tuple[str, ...]:
    """Name the packages (globs) that need not stay at the base's version: all that the recipe names."""
    installed = (requirement_name(requirement) for requirement in recipe.stack.packages)
    return tuple(dict.fromkeys((*installed, *removed(recipe), *recipe.stack.may_change)))


def local_version(recipe: Recipe, name: str) -> str | None:
    """Give the local version of an extension's build, ``pt27cu128``: prebuilt wheels carry the stack's."""
    return recipe.extensions[name].local_version(recipe.stack)


def full_version(recipe: Recipe, name: str) -> str:
    """Give the version that an extension must have in the image, with its local part."""
    return recipe.extensions[name].full_version(recipe.stack)


def checksum_variable(name: str) -> str:
    """Name the bake variable that holds the SHA-256 of a host asset, or of what the place serves for it."""
    return f"SHA256_{name.replace('-', '_').upper()}"


def summary(packages: tuple[str, ...]) -> str:
    """Say in a few words which packages."""
    more = f" and {len(packages) - 1} more" if len(packages) > 1 else ""
    return f"{packages[0]}{more}"


def asset_variable(name: str) -> str:
    """Name the bake variable that holds the folder of a host asset."""
    return f"ASSET_{name.replace('-', '_').upper()}"


def wheel_variable(extension: str) -> str:
    """Name the bake variable of an image that holds an extension's wheel."""
    return f"WHEEL_{extension.replace('-', '_').upper()}"


def compiler_cache_variable(extension: str) -> str:
    """Name the bake variable of the image that holds an extension's compiler cache."""
    return f"COMPILER_CACHE_{extension.replace('-', '_').upper()}"


def needed_by_models(recipe: Recipe) -> tuple[str, ...]:
    """Name the extensions that migration truly uses, with those that they need in turn."""
    found: dict[str, None] = {}
    waiting = [name for models in recipe.models.values() for name in models.needs]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting.extend(recipe.extensions[name].needs)
    return tuple(found)


def models_json(recipe: Recipe) -> str:
    """Write the specification of all model sets, as ``conversion.models.model_spec`` reads it."""
    return _dump(_models(recipe))


def _models(recipe: Recipe) -> dict[str, object]:
    """What is carried over, which packages may be others afterwards, and which rebuilding does without."""
    needed = needed_by_models(recipe)
    absent = (*(name for name in recipe.extensions if name not in needed), *map(normalised, recipe.stack.remove))
    return {
        "schema": MODELS_SCHEMA,
        "released": list(dict.fromkeys((*released(recipe), "torch"))),
        "absent": [name for name in dict.fromkeys(map(normalised, absent)) if name not in needed],
        "sets": [as_json(name, models) for name, models in recipe.models.items()],
    }


def verify_json(recipe: Recipe) -> str:
    """Write what ``conversion.verify`` holds an image against."""
    stack = recipe.stack
    versions = {requirement_name(entry): pinned_version(entry) for entry in stack.packages}
    versions |= {name: full_version(recipe, name) for name in recipe.extensions}
    versions |= {normalised(name): version for name, version in stack.expect.items()}
    # A stack without torch has nobody to ask for its CUDA build and archs.
    cuda = {"cuda": stack.cuda, "archs": list(stack.archs)} if "torch" in versions else {}
    return _dump(
        {
            "recipe": recipe.name,
            "prefix": recipe.base.prefix,
            "versions": versions,
            "absent": [name for name in removed(recipe) if name not in versions],
            **cuda,
            "extensions": [name for name, extension in recipe.extensions.items() if extension.device_code],
            "cards": list(stack.archs),
            "driver": {"require": requirement(stack.cuda), "oldest": oldest_driver(stack.cuda)},
            "device": {name: device.model_dump(exclude_none=True) for name, device in recipe.device.items()},
            "release": list(released(recipe)),
            "patch_roots": list(recipe.patch.roots) if recipe.patch else [],
            "codemods": list(recipe.patch.codemods) if recipe.patch else [],
            "look_roots": list(recipe.patch.look) if recipe.patch else [],
            "load": {"files": list(recipe.verify.load), "path": list(recipe.verify.path)},
            "models": _models(recipe),
        }
    )


def held_back(recipe: Recipe) -> dict[str, dict[str, str]]:
    """Give the modules that must stay off cards later than those they serve: name → {"up_to": "9.0"}."""
    return {
        name: {"up_to": device.up_to}
        for name, device in recipe.device.items()
        if device.action == "cpu" and device.up_to is not None
    }


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
