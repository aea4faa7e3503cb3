"""The pipeline, visible at a glance: load, resolve, plan, render, bake, verify, publish.

Each command of the command line is one function here; each step is one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generator.resolve import with_archs

if TYPE_CHECKING:
    from generator.plan import Graph
    from generator.recipe import LoadedRecipe
    from generator.reporter import Reporter


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


def _load(name: str, archs: str | None) -> LoadedRecipe:
    from generator.recipe import LoadedRecipe, load_recipe

    loaded = load_recipe(name)
    return LoadedRecipe(recipe=with_archs(loaded.recipe, archs), origin=loaded.origin, text=loaded.text)


def _plan(loaded: LoadedRecipe, output: Path) -> Graph:
    from generator.plan import build_graph

    return build_graph(loaded.recipe, origin=loaded.origin, build_dir=output.as_posix())


def _write(graph: Graph, output: Path) -> Path:
    from generator.render import BAKE_FILE, render, write_folder

    write_folder(render(graph), output)
    return output / BAKE_FILE


def render(reporter: Reporter, *, recipe: str, output: Path, archs: str | None = None) -> None:
    """Write the rendered folder; its path goes to stdout."""
    loaded = _load(recipe, archs)
    graph = _plan(loaded, output)
    file = _write(graph, output)
    reporter.data(str(file))
    reporter.note(f"{len(graph.targets)} targets; bake them with: docker buildx bake -f {file}")


def show_plan(reporter: Reporter, *, recipe: str, form: str, archs: str | None = None) -> None:
    """Show the graph as a table, JSON, Mermaid or SVG."""
    from generator.plan import svg, views

    graph = _plan(_load(recipe, archs), Path("build"))
    if form == "json":
        reporter.data(views.as_json(graph))
    elif form == "mermaid":
        reporter.data(views.as_mermaid(graph))
    elif form == "svg":
        reporter.data(svg.as_svg(graph))
    else:
        _plan_table(reporter, graph)


def _plan_table(reporter: Reporter, graph: Graph) -> None:
    from rich.table import Table

    table = Table(title=f"{graph.recipe}: {len(graph.targets)} targets", title_justify="left")
    for column in ("round", "target", "waits for", "what it makes"):
        table.add_column(column, overflow="fold")
    for number, names in enumerate(graph.stages(), start=1):
        for name in names:
            target = graph[name]
            waits = sorted(set(target.inputs.values()))
            table.add_row(str(number), name, ", ".join(waits) or "-", target.description)
    reporter.data_console.print(table)
