"""Fetches the assets of a recipe to this machine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bake.assets import Request, Store, fetch
from bake.assets.shown import shown
from bake.errors import EnvironmentUnfit
from generator.resolve.assets import requests_here

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.console.reporter import Reporter
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts


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
