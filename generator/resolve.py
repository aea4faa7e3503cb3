"""Turns choices into facts: option over environment over recipe. The step between a recipe and its plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generator.arch import Arch, parse_arch_list, unsupported
from generator.errors import EnvironmentUnfit, UsageError

if TYPE_CHECKING:
    from generator.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the command line and its environment variables chose; None: not chosen, the recipe decides."""

    recipe: str
    output: Path = Path("build")
    archs: str | None = None
    registry: str | None = None
    tag: str | None = None
    base: str | None = None
    builder: str | None = None
    ca_bundle: Path | None = None
    progress: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a bake is to use, as decided: every name checked, no choice left."""

    tag: str
    registry: str
    base: str
    archs: str
    ca_bundle: Path | None

    @property
    def image(self) -> str:
        """The full name of the image."""
        return f"{self.registry}/{self.tag}" if self.registry else self.tag

    def variables(self) -> dict[str, str]:
        """The variables of the bake file, with their values."""
        return {
            "TAG": self.tag,
            "REGISTRY": self.registry,
            "BASE_IMAGE": self.base,
            "TORCH_CUDA_ARCH_LIST": self.archs,
            "CA_BUNDLE": str(self.ca_bundle) if self.ca_bundle else "",
        }


def resolve(recipe: Recipe, choices: Choices) -> Facts:
    """Decide what to use, and check every name that the user gave.

    Raises:
        UsageError: a tag, registry or base that is not a valid reference.
        EnvironmentUnfit: the CA bundle can't be read.
    """
    from bake.reference import parse_reference

    tag = choices.tag or recipe.image.tag
    registry = (choices.registry or "").rstrip("/")
    parse_reference(tag, where="--tag")
    if registry:
        parse_reference(f"{registry}/{tag}", where="--registry")
    base = choices.base or recipe.base.image
    parse_reference(base, where="--base")
    return Facts(
        tag=tag,
        registry=registry,
        base=base,
        archs=";".join(recipe.stack.archs),
        ca_bundle=_ca_bundle(choices.ca_bundle),
    )


def with_archs(recipe: Recipe, archs: str | None) -> Recipe:
    """Give the recipe another list of compute capabilities, where one was asked for.

    Raises:
        UsageError: the list is not valid, or the stack's CUDA can't compile for an entry.
    """
    if not archs:
        return recipe
    try:
        wanted = parse_arch_list(archs)
    except ValueError as error:
        raise UsageError(str(error), where="--arch", remedy='write for example --arch "9.0;12.0"') from error
    reasons = [reason for arch in wanted if (reason := unsupported(arch, recipe.stack.cuda))]
    if reasons:
        raise UsageError("; ".join(reasons), where="--arch or --gpu", remedy=_stack_for(wanted))
    stack = recipe.stack.model_copy(update={"archs": tuple(str(arch) for arch in wanted)})
    return recipe.model_copy(update={"stack": stack})


def _stack_for(archs: tuple[Arch, ...]) -> str:
    """Name the shipped recipes whose CUDA compiles for all of these."""
    from generator.recipe import load_recipe, shipped

    releases = {name: load_recipe(name).recipe.stack.cuda for name in shipped()}
    fit = [f"{name} (CUDA {cuda})" for name, cuda in releases.items() if not any(unsupported(a, cuda) for a in archs)]
    if fit:
        return f"take a recipe whose CUDA can: -r {fit[0]}" + "".join(f", or {name}" for name in fit[1:])
    releases_text = ", ".join(f"{name} (CUDA {cuda})" for name, cuda in releases.items())
    return f"no shipped recipe can ({releases_text}); give a recipe of your own another CUDA release"


def _ca_bundle(path: Path | None) -> Path | None:
    if path is None:
        return None
    try:
        text = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentUnfit(
            f"the CA bundle can't be read: {reason}", where=str(path), remedy="give a readable PEM file"
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise EnvironmentUnfit(
            "the CA bundle holds no certificate", where=str(path), remedy="give a PEM file: BEGIN CERTIFICATE"
        )
    return path.resolve()
