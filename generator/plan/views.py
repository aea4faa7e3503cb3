"""The plan for people and programs: a table, JSON and Mermaid text, as plain functions of the graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from generator.plan.names import TOOLS

if TYPE_CHECKING:
    from rich.console import Console

    from generator.plan.graph import Graph


def as_json(graph: Graph) -> str:
    """Write the graph as JSON: targets in order, with their inputs, and the variables."""
    rounds = {name: number for number, names in enumerate(graph.stages()) for name in names}
    return json.dumps(
        {
            "recipe": graph.recipe,
            "targets": [
                {
                    "name": target.name,
                    "kind": str(target.kind),
                    "description": target.description,
                    "waits_for": sorted(set(target.inputs.values())),
                    "round": rounds[target.name],
                }
                for target in graph.targets
            ],
            "variables": {variable.name: variable.default for variable in graph.variables},
        },
        indent=2,
        ensure_ascii=False,
    )


def as_mermaid(graph: Graph) -> str:
    """Write the graph as a Mermaid flowchart; edges that others imply are left out."""
    lines = ["flowchart LR", "    base([base])"]
    for target in graph.targets:
        lines.append(f"    {target.name}[{target.name}]")
        direct = _direct(graph, target.name)
        if target.from_base and not direct:
            lines.append(f"    base --> {target.name}")
        lines.extend(f"    {name} --> {target.name}" for name in direct)
    return "\n".join(lines)


def _direct(graph: Graph, name: str) -> list[str]:
    inputs = set(graph[name].inputs.values()) - {TOOLS}
    if not inputs and TOOLS in graph[name].inputs.values():
        return [TOOLS]
    implied = {older for used in inputs for older in graph.ancestors(used)}
    return sorted(inputs - implied)


def show_table(console: Console, graph: Graph) -> None:
    """Print the graph as a table, one row per target, grouped by the round in which it can start."""
    from rich.table import Table

    table = Table(title=f"{graph.recipe}: {len(graph.targets)} targets", title_justify="left")
    for column in ("round", "target", "waits for", "what it makes"):
        table.add_column(column, overflow="fold")
    for number, names in enumerate(graph.stages(), start=1):
        for name in names:
            target = graph[name]
            waits = ", ".join(sorted(set(target.inputs.values())))
            table.add_row(str(number), name, waits or "-", target.description)
    console.print(table)
