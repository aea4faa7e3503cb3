"""The plan as a picture: one column per round, arrows from what is waited for. Pure text, no library."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.plan.graph import Graph

# Sizes in pixels of the SVG's own coordinates.
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 170, 36, 70, 18, 20

_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>'
)


def as_svg(graph: Graph) -> str:
    """Draw the graph as a self-contained SVG document."""
    places = dict(_places(graph))
    right = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    bottom = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {bottom}" width="{right}" height="{bottom}">',
        f"<title>Targets of the recipe {escape(graph.recipe)}</title>",
        _ARROW,
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    lines += [
        _edge(places[used], places[target.name]) for target in graph.targets for used in _waits(graph, target.name)
    ]
    lines += [_box(places[target.name], target.name, target.description) for target in graph.targets]
    return "\n".join([*lines, "</svg>"])


def _places(graph: Graph) -> Iterator[tuple[str, tuple[int, int]]]:
    for column, names in enumerate(graph.stages()):
        for row, name in enumerate(names):
            yield name, (_MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))


def _waits(graph: Graph, name: str) -> list[str]:
    inputs = set(graph[name].inputs.values())
    implied = {older for used in inputs for older in graph.ancestors(used)}
    return sorted(inputs - implied)


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return (
        f'<path d="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}" fill="none" stroke="#667" '
        'marker-end="url(#arrow)"/>'
    )


def _box(place: tuple[int, int], name: str, description: str) -> str:
    x, y = place
    return (
        f'<g><title>{escape(description)}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="#eef3fb" stroke="#446"/><text x="{x + _WIDTH // 2}" y="{y + _HEIGHT // 2 + 5}" '
        f'text-anchor="middle" font-family="sans-serif" font-size="13">{escape(name)}</text></g>'
    )
