"""Which assets are on this machine already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.assets import State, Store
from bake.errors import EnvironmentUnfit
from generator.resolve.assets import requests_here

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from generator.console.reporter import Reporter
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts


def assets_at_hand(reporter: Reporter, recipe: Recipe, facts: Facts, needed: Collection[str]) -> dict[str, Path]:
    """Find the assets that are on this machine, and give their folders; the build fetches the others, and checks all.

    A file that lies in the assets folder under its own name is used as if it had been fetched.

    Args:
        needed: names of the assets that the bake needs.

    Raises:
        EnvironmentUnfit: such a file is not the one that the recipe or its lock asks for.
    """
    store, wrong, found = Store(facts.assets_folder), [], {}
    for request in requests_here(recipe, facts):
        if store.path_of(request).is_file():
            found[request.name] = store.folder_of(request).resolve()
        lying = store.by_hand(request)
        if request.name not in needed or store.state(request) is State.FETCHED or not lying.is_file():
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
    return found
