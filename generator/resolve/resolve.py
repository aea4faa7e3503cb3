"""Turns choices into facts: option over environment over site over recipe. The step between a recipe and its plan."""

from __future__ import annotations

import netrc
import os
import platform
import re
from typing import TYPE_CHECKING

from bake.address import quoted
from bake.errors import EnvironmentUnfit, UsageError
from bake.reference import check_tag, parse_reference
from bake.retry import Policy
from generator.recipe import load_recipe, recipe_file, shipped
from generator.recipe.arch import Arch, parse_arch_list, unsupported
from generator.recipe.groups import FETCHER_IMAGE
from generator.resolve.assets import assets_folder
from generator.resolve.caches import combined, resolve_caches
from generator.resolve.facts import Facts
from generator.resolve.login import keyring_for
from generator.resolve.origin import origin_of
from generator.resolve.signing import signer_of, trust_of
from generator.resolve.site import mirrored_image, mirrors_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from generator.recipe import Recipe
    from generator.resolve.choices import Choices
    from generator.resolve.site import SiteFile

_LATEST = 1 << 33  # seconds since 1970: in the year 2242


def resolve(recipe: Recipe, choices: Choices, place: SiteFile, *, fetcher: str | None = None) -> Facts:
    """Decide what to use, option and environment before site before recipe, and check every name that was given.

    Args:
        fetcher: the image that fetches, as a lock pins it.

    Raises:
        UsageError: a tag, registry or base that is not a valid reference; a time that is none.
        EnvironmentUnfit: the CA bundle or the credentials can't be read.
    """
    _check_time(os.environ.get("SOURCE_DATE_EPOCH", ""))
    tag = choices.tag or recipe.image.tag
    registry = (choices.registry or place.site.registry or "").rstrip("/")
    parse_reference(tag, where="--tag")
    if registry:
        parse_reference(f"{registry}/{tag}", where="--registry")
    base = recipe.base.image
    parse_reference(base, where="base.image")
    mirrors = mirrors_of(place.site, recipe)
    fetcher = choices.fetcher or place.site.fetcher or fetcher or FETCHER_IMAGE
    parse_reference(fetcher, where="--fetcher")
    devel = recipe.toolkit.devel_image if recipe.toolkit else None
    return Facts(
        folder=choices.output,
        progress=choices.progress,
        tag=tag,
        registry=registry,
        base=base,
        archs=";".join(recipe.stack.archs),
        ca_bundle=_ca_bundle(choices.ca_bundle or place.path(place.site.ca_bundle)),
        builder=choices.builder or place.site.builder,
        netrc=_netrc(choices.netrc or place.path(place.site.netrc)),
        mirrors=mirrors,
        checksums=place.site.checksums,
        served=_served(recipe, place.site.checksums),
        fetcher=fetcher,
        fetcher_mirror=_moved(fetcher, mirrors),
        disk_gib=recipe.image.disk_gib if place.site.disk_gib is None else place.site.disk_gib,
        base_mirror=_moved(base, mirrors),
        toolkit_image=mirrored_image(devel, mirrors) if devel else None,
        assets_folder=assets_folder(choices.assets_dir or place.path(place.site.assets), os.environ),
        caches=resolve_caches(combined(choices.caches, place.site), registry=registry, environ=os.environ),
        platform=this_platform(),
        more_tags=_more_tags(tag, choices.more_tags),
        origin=origin_of(recipe_file(choices.recipe), os.environ),
        keyring=keyring_for(registry, choices.login),
        pushing=Policy(tries=choices.push_tries, wait=choices.push_wait),
        deadline=choices.deadline,
        layer_limit_mib=layer_limit_mib(choices, place),
        trust=trust_of(place),
        signer=signer_of(choices.signing),
    )


def _check_time(text: str) -> None:
    if text and not (re.fullmatch(r"[0-9]{1,10}", text) and int(text) <= _LATEST):
        raise UsageError(
            f"{quoted(text)} is no time in seconds since 1970",
            where="SOURCE_DATE_EPOCH",
            remedy="set it to one, such as that of `git log -1 --format=%ct`, or leave it out",
        )


def _moved(image: str, mirrors: Mapping[str, str]) -> str | None:
    """Give an image's name in the mirror of its registry; None where there is no such mirror."""
    moved = mirrored_image(image, mirrors)
    return moved if moved != image else None


def _served(recipe: Recipe, checksums: Mapping[str, str]) -> dict[str, str]:
    """Give the SHA-256 of what the site serves in place of an asset, by the asset's name."""
    found = {
        name: next((checksums[url] for url in (asset.url, *asset.alternatives) if url in checksums), None)
        for name, asset in recipe.assets.items()
    }
    return {name: value for name, value in found.items() if value}


def _more_tags(tag: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """Give further tags as full names, ``name:tag``: a tag alone is one of the same name.

    Raises:
        UsageError: one is no tag, or of another repository.
    """
    name = tag.partition(":")[0]
    found: list[str] = []
    for other in others:
        repository, colon, last = other.rpartition(":")
        if colon and repository != name:
            raise UsageError(
                f"{quoted(other)} is another repository than {name}",
                where="--tag",
                remedy=f"further tags are of the same one: write {name}:TAG, or the tag alone",
            )
        found.append(f"{name}:{check_tag(last, where='--tag', shown=other)}")
    return tuple(dict.fromkeys(found))


def this_platform() -> str:
    """Give the platform of this machine as BuildKit names it; what is built here is for it."""
    machine = platform.machine().lower()
    return f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def layer_limit_mib(choices: Choices, place: SiteFile) -> int | None:
    """Give the largest layer that the place's registry takes, in MiB; None: any. What is rendered depends on it."""
    return choices.layer_limit_mib or place.site.layer_limit_mib


def _netrc(path: Path | None) -> Path | None:
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


def with_base(recipe: Recipe, image: str | None) -> Recipe:
    """Give the recipe another frozen image, where one was asked for.

    Raises:
        UsageError: it is not a valid reference.
    """
    if not image:
        return recipe
    parse_reference(image, where="--base")
    return recipe.model_copy(update={"base": recipe.base.model_copy(update={"image": image})})


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
