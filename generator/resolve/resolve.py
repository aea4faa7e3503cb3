"""Turns choices into facts: option over environment over recipe. The step between a recipe and its plan."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bake.credentials import Keyring
from bake.errors import EnvironmentUnfit, UsageError
from bake.retry import Policy
from generator.baking.base_image import Inherited
from generator.recipe.arch import Arch, parse_arch_list, unsupported
from generator.resolve.caches import Caches, Wishes, combined, settle
from generator.resolve.origin import Origin, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.recipe import Recipe
    from generator.resolve.login import Given


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the command line and its environment variables chose; None: not chosen, the recipe decides."""

    recipe: str
    output: Path = Path("build")
    archs: str | None = None
    registry: str | None = None
    tag: str | None = None
    more_tags: tuple[str, ...] = ()
    login: Given | None = None
    push_tries: int = 6
    push_wait: float = 120.0
    base: str | None = None
    builder: str | None = None
    ca_bundle: Path | None = None
    netrc: Path | None = None
    assets_dir: Path | None = None
    site: Path | None = None
    progress: str = "auto"
    lock: Path | None = None
    caches: Wishes = field(default_factory=Wishes)
    layer_limit_mib: int | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a bake is to use, as decided: every name checked, no choice left."""

    tag: str
    registry: str
    base: str
    archs: str
    ca_bundle: Path | None
    inherited: Inherited = field(default_factory=Inherited)
    builder: str | None = None
    netrc: Path | None = None
    mirrors: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    base_mirror: str | None = None
    disk_gib: float = 0.0
    toolkit_image: str | None = None
    assets_folder: Path = Path()
    assets: Mapping[str, Path] = field(default_factory=dict)
    caches: Caches = field(default_factory=Caches)
    platform: str = ""
    more_tags: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    keyring: Keyring = field(default_factory=Keyring)
    pushing: Policy = field(default_factory=Policy)
    layer_limit_mib: int | None = None

    @property
    def image(self) -> str:
        """The full name of the image."""
        return f"{self.registry}/{self.tag}" if self.registry else self.tag

    @property
    def names(self) -> tuple[str, ...]:
        """All full names of the image, each with its tag, the first one last: it stands for the others."""
        prefix = f"{self.registry}/" if self.registry else ""
        first = self.tag if ":" in self.tag else f"{self.tag}:latest"
        return tuple(f"{prefix}{name}" for name in (*self.more_tags, first))

    def variables(self) -> dict[str, str]:
        """The variables of the bake file, with their values."""
        from generator.plan.specs import asset_variable

        return {
            **({"TOOLKIT_IMAGE": self.toolkit_image} if self.toolkit_image else {}),
            **{asset_variable(name): str(folder) for name, folder in self.assets.items()},
            "NETRC": str(self.netrc) if self.netrc else "",
            "TAG": self.tag,
            "MORE_TAGS": " ".join(self.more_tags),
            "IMAGE_SOURCE": self.origin.source,
            "IMAGE_REVISION": self.origin.revision,
            "IMAGE_VERSION": _tag_of(self.tag),
            "REGISTRY": self.registry,
            "BASE_IMAGE": self.base,
            "BASE_USER": self.inherited.user,
            "NVIDIA_REQUIRE": "new" if self.inherited.requires else "kept",
            "TORCH_CUDA_ARCH_LIST": self.archs,
            "CA_BUNDLE": str(self.ca_bundle) if self.ca_bundle else "",
            **self.caches.variables(),
        }


def resolve(recipe: Recipe, choices: Choices) -> Facts:
    """Decide what to use, option and environment before site before recipe, and check every name that was given.

    Raises:
        UsageError: a tag, registry or base that is not a valid reference; a site file that is not valid.
        EnvironmentUnfit: the CA bundle or the credentials can't be read.
    """
    from bake.reference import parse_reference
    from generator.commands.fetch import assets_folder
    from generator.recipe import recipe_file
    from generator.resolve.login import keyring_for
    from generator.resolve.site import load_site, mirrored_image, mirrors_of

    place = load_site(choices.site, recipe=choices.recipe)
    tag = choices.tag or recipe.image.tag
    registry = (choices.registry or place.site.registry or "").rstrip("/")
    parse_reference(tag, where="--tag")
    if registry:
        parse_reference(f"{registry}/{tag}", where="--registry")
    base = choices.base or recipe.base.image
    parse_reference(base, where="--base")
    mirrors = mirrors_of(place.site, recipe)
    moved = mirrored_image(base, mirrors)
    devel = recipe.toolkit.devel_image if recipe.toolkit else None
    assets = assets_folder(choices.assets_dir or place.path(place.site.assets))
    return Facts(
        tag=tag,
        registry=registry,
        base=base,
        archs=";".join(recipe.stack.archs),
        ca_bundle=_ca_bundle(choices.ca_bundle or place.path(place.site.ca_bundle)),
        builder=choices.builder or place.site.builder,
        netrc=_netrc(choices.netrc or place.path(place.site.netrc)),
        mirrors=mirrors,
        checksums=place.site.checksums,
        disk_gib=recipe.image.disk_gib if place.site.disk_gib is None else place.site.disk_gib,
        base_mirror=moved if moved != base else None,
        toolkit_image=mirrored_image(devel, mirrors) if devel else None,
        assets_folder=assets,
        assets=_lying(recipe, assets),
        caches=settle(combined(choices.caches, place.site), registry=registry, environ=os.environ),
        platform=_platform(),
        more_tags=_more_tags(tag, choices.more_tags),
        origin=origin_of(recipe_file(choices.recipe), os.environ),
        keyring=keyring_for(registry, choices.login),
        pushing=Policy(tries=choices.push_tries, wait=choices.push_wait),
        layer_limit_mib=choices.layer_limit_mib or place.site.layer_limit_mib,
    )


def _tag_of(name: str) -> str:
    """Give the tag of a name that has no registry; "" where it has none."""
    return name.partition(":")[2]


def _more_tags(tag: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """Give further tags as full names, ``name:tag``: a tag alone is one of the same name.

    Raises:
        UsageError: one is no tag, or of another repository.
    """
    from bake.reference import check_tag

    name = tag.partition(":")[0]
    found: list[str] = []
    for other in others:
        repository, colon, last = other.rpartition(":")
        if colon and repository != name:
            raise UsageError(
                f"{other!r} is another repository than {name}",
                where="--tag",
                remedy=f"further tags are of the same one: write {name}:{last}, or {last}",
            )
        found.append(f"{name}:{check_tag(last, where='--tag', shown=other)}")
    return tuple(dict.fromkeys(found))


def _platform() -> str:
    """Give the platform of this machine as BuildKit names it; what is built here is for it."""
    machine = platform.machine().lower()
    return f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def layer_limit_mib(choices: Choices) -> int | None:
    """Give the largest layer that the place's registry takes, in MiB; None: any. Option and environment before site.

    What is rendered depends on it, so that a step is named for those commands that need no other fact of the place.

    Raises:
        UsageError: the site file is not valid.
    """
    from generator.resolve.site import load_site

    return choices.layer_limit_mib or load_site(choices.site, recipe=choices.recipe).site.layer_limit_mib


def asset_folder(folder: Path, name: str, url: str) -> Path:
    """Give the folder of one asset among those of this machine: it holds that file and nothing else."""
    from bake.assets.request import key_of

    return folder / key_of(name, url)


def _lying(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Find the assets that were fetched to this machine; the build fetches the others, and checks them all."""
    folders = {name: asset_folder(folder, name, asset.url) for name, asset in recipe.assets.items()}
    return {
        name: found.resolve() for name, found in folders.items() if (found / recipe.assets[name].file_name).is_file()
    }


def _netrc(path: Path | None) -> Path | None:
    import netrc

    if path is None:
        return None
    try:
        netrc.netrc(str(path))
    except (OSError, netrc.NetrcParseError) as error:
        raise EnvironmentUnfit(
            f"the credentials can't be read: {error}",
            where=str(path),
            remedy="one line a host: machine HOST login NAME password WORD",
        ) from None
    return path.resolve()


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
