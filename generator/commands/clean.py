"""Removes what earlier bakes left: lists it with sizes, asks, and touches nothing that this software did not make."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bake import leftovers
from bake.assets import Store
from bake.buildx import builders
from bake.engine.facts import connect
from bake.errors import EnvironmentUnfit, Interrupted, UpliftError
from bake.units import size
from generator.plan import build_graph
from generator.plan.names import FETCHED
from generator.render import render
from generator.render.write import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bake.leftovers import Leftover, Marks
    from generator.console.reporter import Reporter
    from generator.plan import Graph
    from generator.recipe import Recipe

# What bakes write into a build folder; anything else there is the user's.
OWNED = ("docker-bake.hcl", "contexts", "results.json", "metadata.json", "mirrors.txt", "verify", ".render-*")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What goes on request: named results, fetched assets, the build cache."""

    images: bool = False
    assets: bool = False
    cache: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where to look: the build folder, the folder of assets, the builder whose cache it is."""

    build: Path
    assets: Path
    builder: str | None = None


def clean(reporter: Reporter, recipe: Recipe, place: Place, wanted: Wanted, *, yes: bool, dry_run: bool) -> None:
    """List, ask, remove. Without a terminal and without ``yes`` it only lists.

    Raises:
        EnvironmentUnfit: something could not be removed; the rest is removed all the same.
    """
    found = list(_find(reporter, recipe, place, wanted))
    going = [entry for entry in found if not entry.kept]
    if not found:
        reporter.note("nothing is left of earlier bakes")
        return
    _show(reporter, found)
    if not going:
        reporter.note("nothing to remove; see the options --images, --assets, --cache")
        return
    if dry_run:
        reporter.note("dry run: nothing was removed")
    elif yes or _agreed(reporter, going):
        _remove(reporter, going)


def _find(reporter: Reporter, recipe: Recipe, place: Place, wanted: Wanted) -> Iterator[Leftover]:
    try:
        yield from _images(recipe, wanted)
    except EnvironmentUnfit as error:
        reporter.warning(f"images are not listed: {error}")
    yield from leftovers.find_folder(place.build, marker=MARKER, owned=OWNED)
    yield from leftovers.find_assets(Store(place.assets), fetched=wanted.assets)
    if wanted.cache and place.builder and builders.look_up(place.builder) is None:
        reporter.warning(f"there is no builder {place.builder}, so its cache is not listed")
    elif wanted.cache:
        yield from leftovers.find_cache(place.builder, _marks(recipe))


def _images(recipe: Recipe, wanted: Wanted) -> list[Leftover]:
    # The client stays open: each entry removes itself through it.
    return list(leftovers.find_images(connect(), recipe.name, named=recipe.clean.images, results=wanted.images))


def _marks(recipe: Recipe) -> Marks:
    graph = build_graph(recipe)
    return leftovers.marks_of(_dockerfiles(graph), scopes=(graph.cache_scope(""), FETCHED))  # on whatever base


def _dockerfiles(graph: Graph) -> Iterator[str]:
    for path, content in render(graph).items():
        if path.name == "Dockerfile":
            yield content.decode()


def _show(reporter: Reporter, found: list[Leftover]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="left by earlier bakes", title_justify="left")
    for column in ("what", "name", "size", "", "why"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for entry in found:
        mark = Text("stays", style="dim") if entry.kept else Text("goes", style="yellow")
        why = f"{entry.why}; {entry.kept}" if entry.kept else entry.why
        table.add_row(Text(entry.kind.value), Text(entry.name), Text(size(entry.size)), mark, Text(why))
    reporter.data_console.print(table)


def _agreed(reporter: Reporter, going: list[Leftover]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or os.environ.get("CI"):
        reporter.note("nothing was removed; --yes removes what goes")
        return False
    total = size(sum(entry.size for entry in going))
    sys.stderr.write(f"remove these {len(going)} (at least {total})? [y/N] ")
    sys.stderr.flush()
    agreed = sys.stdin.readline().strip().lower() in {"y", "yes"}
    if not agreed:
        reporter.note("nothing was removed")
    return agreed


def _remove(reporter: Reporter, going: list[Leftover]) -> None:
    freed, failures = 0, []
    for entry in going:
        try:
            freed += entry.remove()
        except Interrupted:
            raise
        except UpliftError as error:
            failures.append(f"{entry.name}: {error.message}")
    done = len(going) - len(failures)
    reporter.note(f"{done} of {len(going)} removed; at least {size(freed)} are free again")
    if failures:
        raise EnvironmentUnfit(
            "\n  ".join(["not removed:", *failures]), remedy="mend what is named above, then run `clean` again"
        )
