"""Assets of a recipe: where they are kept, what is asked for, and the command that fetches them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bake.assets import Request, State, Store, fetch
from bake.assets.shown import shown
from bake.errors import EnvironmentUnfit
from generator.resolve.site import mirrored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from generator.console.reporter import Reporter
    from generator.recipe import Recipe
    from generator.resolve.resolve import Facts

APPLICATION = "image-uplift"


def assets_folder(chosen: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of assets: as chosen, or in the user's cache folder (XDG Base Directory Specification)."""
    if chosen is not None:
        return chosen.resolve()
    cache = environment.get("XDG_CACHE_HOME", "")
    base = Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache"
    return base / APPLICATION / "assets"


def _as_it_is(url: str) -> tuple[str, ...]:
    return (url,)


def requests(
    recipe: Recipe,
    *,
    mirrored: Callable[[str], tuple[str, ...]] = _as_it_is,
    checksums: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Request, ...]:
    """Turn the recipe's assets into what is asked for.

    Args:
        recipe: with its lock's facts. mirrored: gives the addresses to try for one address, a lab's mirror first.
        checksums: SHA-256 by address, of what the site's mirrors serve in place of the original.
    """
    found = []
    for name, asset in recipe.assets.items():
        sources = [source for url in (asset.url, *asset.alternatives) for source in mirrored(url)]
        found.append(
            Request(
                name=name,
                url=asset.url,
                file=asset.file_name,
                sources=tuple(dict.fromkeys(sources)),
                sha256=checksums.get(asset.url, asset.sha256),
                size=None if asset.url in checksums else asset.size,
            )
        )
    return tuple(found)


def requests_here(recipe: Recipe, facts: Facts) -> tuple[Request, ...]:
    """Turn the recipe's assets into what is asked for at this site, its mirrors before the originals."""
    return requests(recipe, mirrored=lambda url: (mirrored(url, facts.mirrors), url), checksums=facts.checksums)


def use_lying(reporter: Reporter, recipe: Recipe, facts: Facts, names: Collection[str]) -> Facts:
    """Take files that lie in the assets folder under their own names: a bake uses them as if they had been fetched.

    Args:
        names: the assets that the bake needs.

    Raises:
        EnvironmentUnfit: such a file is not the one that the recipe or its lock asks for.
    """
    store, wrong, found = Store(facts.assets_folder), [], dict(facts.assets)
    for request in requests_here(recipe, facts):
        lying = store.by_hand(request)
        if request.name not in names or store.state(request) is State.FETCHED or not lying.is_file():
            continue
        reporter.note(f"{request.name}: checking {lying}, which lies in the assets folder")
        try:
            sha256 = store.adopt(request)
        except OSError as error:
            reporter.warning(
                f"{lying} can't be used: {error.strerror or error}; the build fetches {request.name} itself"
            )
            continue
        if sha256 == request.sha256:
            found[request.name] = store.folder_of(request).resolve()
        elif sha256 is not None:
            wrong.append(f"{lying}: its SHA-256 is {sha256}, and {request.sha256} is asked for (assets.{request.name})")
    if wrong:
        raise EnvironmentUnfit(
            "\n  ".join(["the assets folder holds another file than the recipe or its lock asks for:", *wrong]),
            remedy="put the right file there, or remove it: then the build fetches it",
        )
    return dataclasses.replace(facts, assets=found)


def require_assets(recipe: Recipe, folder: Path, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Give the files of assets that a bake is about to use.

    Args:
        names: which; None: all of them.

    Raises:
        EnvironmentUnfit: one is not there, or changed since it was checked; all of them are named.
    """
    store, wanted = Store(folder), None if names is None else set(names)
    found, missing = {}, []
    for request in requests(recipe):
        if wanted is not None and request.name not in wanted:
            continue
        state = store.state(request)
        if state is State.FETCHED:
            found[request.name] = store.path_of(request)
        else:
            missing.append(f"{request.name} ({request.file}) is {state.value}")
    if missing:
        raise EnvironmentUnfit(
            "; ".join(missing), where=f"assets in {folder}", remedy="run `fetch`: it goes on where it was interrupted"
        )
    return found


def fetch_all(
    reporter: Reporter,
    wanted: Iterable[Request],
    store: Store,
    *,
    facts: Facts,
    again: bool = False,
    quiet: bool = False,
) -> dict[str, tuple[str, int]]:
    """Fetch what is missing, with progress; unless quiet, name, SHA-256 and path of each go to stdout.

    Returns:
        SHA-256 and size of each, by name.

    Raises:
        EnvironmentUnfit: an asset could not be had; the others are fetched all the same.
        Interrupted: Ctrl-C.
    """
    from bake.assets.transfer import open_session

    failures: list[EnvironmentUnfit] = []
    done = {}
    with open_session(facts.ca_bundle, facts.netrc) as session, shown() as watcher:
        for request in wanted:
            try:
                fetched = fetch(request, store, watcher, session=session, again=again)
            except EnvironmentUnfit as error:
                failures.append(error)
                continue
            done[request.name] = fetched
    for name, fetched in done.items():
        if not quiet:
            reporter.data(f"{name}\t{fetched.sha256}\t{fetched.path}")
        if not fetched.known:
            reporter.warning(
                f"{name}: nobody knew its hash beforehand; it is {fetched.sha256}. "
                "Compare it with the publisher's, then write it into the recipe or run `lock`"
            )
    if failures:
        _raise_all(failures)
    return {name: (fetched.sha256, fetched.size) for name, fetched in done.items()}


def hashes(reporter: Reporter, recipe: Recipe, facts: Facts) -> dict[str, tuple[str, int]]:
    """Give SHA-256 and size of every asset: as the recipe knows them, or of the file, fetched if need be.

    Raises:
        EnvironmentUnfit, Interrupted: as for ``fetch_all``.
    """
    # A lock travels between sites: what a mirror serves in place of an original is not what it holds.
    wanted = requests_here(recipe, dataclasses.replace(facts, checksums={}))
    found = {item.name: (item.sha256, item.size) for item in wanted if item.sha256 and item.size}
    unknown = [item for item in wanted if item.name not in found]
    if unknown:
        found |= fetch_all(reporter, unknown, Store(facts.assets_folder), facts=facts, quiet=True)
    return found


def _raise_all(failures: list[EnvironmentUnfit]) -> None:
    first, *others = failures
    if not others:
        raise first
    more = (f"{failure.where}: {failure.message}\n    what to do: {failure.remedy}" for failure in others)
    lines = [first.message, *more]
    raise EnvironmentUnfit("\n  ".join(lines), where=first.where, remedy=first.remedy)
