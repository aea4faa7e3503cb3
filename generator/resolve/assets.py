"""Assets of a recipe: where they are kept, and what is asked for at this site. Pure."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bake.assets.request import Request, key_of
from generator.resolve.site import mirrored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from generator.recipe import Recipe
    from generator.resolve.facts import Facts

APPLICATION = "image-uplift"


def assets_folder(chosen: Path | None, environ: Mapping[str, str]) -> Path:
    """The folder of assets: as chosen, or in the user's cache folder (XDG Base Directory Specification)."""
    if chosen is not None:
        return chosen.resolve()
    cache = environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache"
    return base / APPLICATION / "assets"


def asset_folder(folder: Path, name: str, url: str) -> Path:
    """Give the folder of one asset among those of this machine: it holds that file and nothing else."""
    return folder / key_of(name, url)


def _as_it_is(url: str) -> tuple[str, ...]:
    return (url,)


def requests(
    recipe: Recipe,
    *,
    sources: Callable[[str], tuple[str, ...]] = _as_it_is,
    checksums: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Request, ...]:
    """Turn the recipe's assets into what is asked for.

    Args:
        recipe: with its lock's facts. sources: gives the addresses to try for one address, a lab's mirror first.
        checksums: SHA-256 by address, of what the site's mirrors serve in place of the original.
    """
    return tuple(
        Request(
            name=name,
            url=asset.url,
            file=asset.file_name,
            sources=tuple(dict.fromkeys(source for url in (asset.url, *asset.alternatives) for source in sources(url))),
            sha256=checksums.get(asset.url, asset.sha256),
            size=None if asset.url in checksums else asset.size,
        )
        for name, asset in recipe.assets.items()
    )


def requests_here(recipe: Recipe, facts: Facts) -> tuple[Request, ...]:
    """Turn the recipe's assets into what is asked for at this site, its mirrors before the originals."""
    return requests(recipe, sources=lambda url: (mirrored(url, facts.mirrors), url), checksums=facts.checksums)
