"""What one section of a recipe asks of another: names that must exist, archs that the toolkit must know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bake.errors import UsageError
from bake.reference import parse_reference
from generator.recipe.arch import parse_arch, unsupported
from generator.recipe.fields import normalised, pinned_version, requirement_name
from generator.recipe.models import mistakes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.recipe.model import Recipe

# Packages that contexts/image/image_uplift_device.py can keep off a card, by the names of their modules.
HELD_BACK = ("tensorflow",)

Mistake = tuple[tuple[str | int, ...], str]


def cross_check(recipe: Recipe) -> list[Mistake]:
    """List what is wrong between sections: the path of the key, and the message."""
    return [
        *_references(recipe),
        *_archs(recipe),
        *_stack(recipe),
        *_extensions(recipe),
        *_toolkit(recipe),
        *_device(recipe),
        *_models(recipe),
        *_assets(recipe),
        *_verify(recipe),
        *_run(recipe),
        *_clean(recipe),
    ]


def _references(recipe: Recipe) -> Iterator[Mistake]:
    named = [(("image", "tag"), recipe.image.tag), (("base", "image"), recipe.base.image)]
    if recipe.toolkit is not None and recipe.toolkit.devel_image is not None:
        named.append((("toolkit", "image"), recipe.toolkit.devel_image))
    for path, text in named:
        try:
            parse_reference(text)
        except UsageError as error:
            yield path, f"{'.'.join(path)}: {error.message}"


def _archs(recipe: Recipe) -> Iterator[Mistake]:
    for index, arch in enumerate(recipe.stack.archs):
        reason = unsupported(parse_arch(arch), recipe.stack.cuda)
        if reason:
            yield ("stack", "archs", index), f"stack.archs.{index}: {reason}"


def _stack(recipe: Recipe) -> Iterator[Mistake]:
    stack = recipe.stack
    pins: dict[str, str] = {}
    for key, requirements in (("install", stack.install), ("also", stack.also)):
        for index, requirement in enumerate(requirements):
            name, version = requirement_name(requirement), pinned_version(requirement)
            if pins.setdefault(name, version) != version:
                yield ("stack", key, index), f"stack.{key}.{index}: {name} is pinned to {pins[name]} too"
    pins |= {name: extension.full_version(stack) for name, extension in recipe.extensions.items() if name not in pins}
    for name, version in stack.expect.items():
        pin = pins.get(normalised(name), version)
        if version != pin and (version.partition("+")[0] != pin or "+" not in version):
            yield ("stack", "expect", name), f"stack.expect.{name}: it is {version} here, and {pin} is installed"


def _extensions(recipe: Recipe) -> Iterator[Mistake]:
    if recipe.toolkit is None and any(extension.compiles for extension in recipe.extensions.values()):
        yield ("extensions",), "extensions: they are compiled, and no [toolkit] says with what"
    installed = {requirement_name(requirement) for requirement in recipe.stack.packages}
    for name, extension in recipe.extensions.items():
        path = ("extensions", name)
        if name in installed:
            yield path, f"extensions.{name}: [stack] installs this package; remove it there, or this section"
        for needed in extension.needs:
            if needed not in recipe.extensions:
                yield (*path, "needs"), f"extensions.{name}.needs: there is no [extensions.{needed}]"
        for key, message in extension.mistakes(recipe.stack):
            yield (*path, key), f"extensions.{name}.{key}: {message}"
        yield from _asset(recipe, path, extension.asset_name)


def _toolkit(recipe: Recipe) -> Iterator[Mistake]:
    if recipe.toolkit is not None:
        yield from _asset(recipe, ("toolkit",), recipe.toolkit.asset_name)


def _asset(recipe: Recipe, path: tuple[str, ...], name: str | None) -> Iterator[Mistake]:
    if name is not None and name not in recipe.assets:
        yield (*path, "asset"), f"{'.'.join(path)}.asset: there is no [assets.{name}]"


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
    made = (*recipe.extensions.values(), *([recipe.toolkit] if recipe.toolkit else []))
    used = {part.asset_name for part in made}
    for name, asset in recipe.assets.items():
        if name not in used:
            yield ("assets", name), f"assets.{name}: nothing is made of it: name it with asset, or remove the section"
        if not asset.file_name:
            yield ("assets", name), f"assets.{name}: its address ends in no file name; give one with file"


def _verify(recipe: Recipe) -> Iterator[Mistake]:
    if recipe.verify.path and not recipe.verify.load:
        yield ("verify", "path"), 'verify.path: only checkpoints of "load" use it: name these, or remove the line'


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
