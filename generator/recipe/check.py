"""What one section of a recipe asks of another: names that must exist, archs that the toolkit must know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bake.errors import UsageError
from bake.reference import parse_reference
from generator.recipe.arch import parse_arch, unsupported
from generator.recipe.models import mistakes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.recipe.model import Extension, Recipe

# Packages that contexts/image/image_uplift_device.py can keep off a card, by the names of their modules.
HELD_BACK = ("tensorflow",)

Mistake = tuple[tuple[str | int, ...], str]


def cross_check(recipe: Recipe) -> list[Mistake]:
    """List what is wrong between sections: the path of the key, and the message."""
    return [
        *_references(recipe),
        *_archs(recipe),
        *_extensions(recipe),
        *_toolkit(recipe),
        *_device(recipe),
        *_models(recipe),
        *_assets(recipe),
        *_run(recipe),
        *_clean(recipe),
    ]


def _references(recipe: Recipe) -> Iterator[Mistake]:
    for path, text in ((("image", "tag"), recipe.image.tag), (("base", "image"), recipe.base.image)):
        try:
            parse_reference(text)
        except UsageError as error:
            yield path, f"{'.'.join(path)}: {error.message}"


def _archs(recipe: Recipe) -> Iterator[Mistake]:
    for index, arch in enumerate(recipe.stack.archs):
        reason = unsupported(parse_arch(arch), recipe.stack.cuda)
        if reason:
            yield ("stack", "archs", index), f"stack.archs.{index}: {reason}"


def _extensions(recipe: Recipe) -> Iterator[Mistake]:
    if recipe.toolkit is None and any(extension.compiles for extension in recipe.extensions.values()):
        yield ("extensions",), "extensions: they are compiled, and no [toolkit] says with what"
    for name, extension in recipe.extensions.items():
        for needed in extension.needs:
            if needed not in recipe.extensions:
                yield (
                    ("extensions", name, "needs"),
                    f"extensions.{name}.needs: there is no [extensions.{needed}]",
                )
        for key, message in _source(recipe, extension):
            yield ("extensions", name, key), f"extensions.{name}.{key}: {message}"


def _source(recipe: Recipe, extension: Extension) -> Iterator[tuple[str, str]]:
    """List which keys an extension's source lacks."""
    if extension.source == "wheel" and not (extension.page or recipe.stack.find_links):
        yield "source", 'a prebuilt wheel needs a page of links: give "page" here or "find-links" in [stack]'
    if (extension.source == "sdist" or extension.fallback) and extension.sha256 is None:
        yield "sha256", "missing; without it the sdist may change between two bakes"
    if extension.fallback and extension.source != "wheel":
        yield "fallback", "only a prebuilt wheel has one"
    if extension.own_archs and not extension.compiles:
        yield "own-archs", "nothing is compiled here: a prebuilt wheel has the archs that it has; leave the key out"
    if extension.source == "git" and (extension.url is None or extension.commit is None):
        yield "commit" if extension.url else "url", "missing; a repository is pinned by url and commit"
    if extension.source == "archive":
        yield from _asset(recipe, extension.asset)


def _asset(recipe: Recipe, name: str | None) -> Iterator[tuple[str, str]]:
    if name is None:
        yield "asset", "missing; it names one of [assets]"
    elif name not in recipe.assets:
        yield "asset", f"there is no [assets.{name}]"


def _toolkit(recipe: Recipe) -> Iterator[Mistake]:
    toolkit = recipe.toolkit
    if toolkit is None:
        return
    if toolkit.source == "wheels" and not toolkit.install:
        yield ("toolkit", "install"), 'toolkit.install: missing; source = "wheels" installs these'
    if toolkit.source == "image":
        try:
            parse_reference(toolkit.image or "")
        except UsageError as error:
            yield ("toolkit", "image"), f"toolkit.image: {error.message if toolkit.image else 'missing'}"
    if toolkit.source == "runfile":
        for key, message in _asset(recipe, toolkit.asset):
            yield ("toolkit", key), f"toolkit.{key}: {message}"


def _device(recipe: Recipe) -> Iterator[Mistake]:
    for name, device in recipe.device.items():
        where = f"device.{name}"
        if device.action == "cpu" and name not in HELD_BACK:
            yield (
                ("device", name, "action"),
                f"{where}.action: only {', '.join(HELD_BACK)} can be kept on the CPU from outside; write inform",
            )
        if device.action == "cpu" and device.up_to is None:
            yield ("device", name), f'{where}.up-to: missing; it is the latest card that {name} runs on, such as "9.0"'
        if device.action != "cpu" and device.up_to is not None:
            yield ("device", name, "up-to"), f'{where}.up-to: only action = "cpu" has it'
        if device.up_to and not device.up_to.replace(".", "").isdigit():
            yield ("device", name, "up-to"), f"{where}.up-to: {device.up_to} is no card; write it as 9.0"


def _models(recipe: Recipe) -> Iterator[Mistake]:
    for name, models in recipe.models.items():
        for needed in models.needs:
            if needed not in recipe.extensions:
                yield ("models", name, "needs"), f"models.{name}.needs: there is no [extensions.{needed}]"
        yield from mistakes(name, models)


def _assets(recipe: Recipe) -> Iterator[Mistake]:
    for name, asset in recipe.assets.items():
        if not asset.file_name:
            yield ("assets", name), f"assets.{name}: its address ends in no file name; give one with file"


def _run(recipe: Recipe) -> Iterator[Mistake]:
    run = recipe.run
    if run is None:
        return
    known = {"input", "output", "device"} | ({"license"} if run.license_ else set())
    texts = [("arguments", text) for text in run.arguments] + [("defaults", text) for text in run.defaults.values()]
    for key, text in texts:
        for word in re.findall(r"\{([a-z]+)\}", text):
            if word not in known:
                known_text = ", ".join(f"{{{entry}}}" for entry in sorted(known))
                yield ("run", key), f"run.{key}: {{{word}}} stands for nothing here; known are {known_text}"


def _clean(recipe: Recipe) -> Iterator[Mistake]:
    for index, image in enumerate(recipe.clean.images):
        try:
            parse_reference(image)
        except UsageError as error:
            yield ("clean", "images", index), f"clean.images.{index}: {error.message}"
        else:
            if image == recipe.image.tag:
                yield ("clean", "images", index), f"clean.images.{index}: {image} is what the recipe makes"
