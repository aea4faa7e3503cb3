"""The report as tables on a terminal or in a log; meaning never rests on colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.units import duration, size
from generator.report.wording import (
    bounds_sentences,
    compiler_sentences,
    contents_rows,
    layer_total,
    size_or_unknown,
    wheel_hits,
    wheel_origin,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from generator.report.model import Report

_PACKAGES = 10  # the largest ones


def show(console: Console, report: Report) -> None:
    """Write all tables."""
    console.print(f"{report.recipe}: {report.state}, {', '.join(report.requested)}, {report.started}", markup=False)
    for sentence in bounds_sentences(report):
        console.print(f"  {sentence}", markup=False)
    _targets(console, report)
    _path(console, report)
    _wheels(console, report)
    _layers(console, report)
    _contents(console, report)
    tags = report.published.get("tags")
    if tags:
        console.print(f"Published: {', '.join(tags)} ({report.published.get('digest', '')})", markup=False)


def _targets(console: Console, report: Report) -> None:
    rows = [
        (
            line.name,
            line.state,
            duration(line.start),
            duration(line.end),
            duration(line.busy),
            duration(line.critical) if line.critical else "-",
            str(line.ran),
            str(line.cached),
        )
        for line in report.targets
    ]
    columns = ("target", "state", "from", "to", ">busy", ">on the path", ">ran", ">cached")
    _table(console, "Targets: what ran, what was cached", columns, rows)


def _path(console: Console, report: Report) -> None:
    rows = [
        (duration(step.start), duration(step.wait), duration(step.seconds), step.target, step.name)
        for step in report.path
    ]
    title = "Critical path: each step waited for the one before it"
    _table(console, title, (">from", ">wait", ">seconds", "target", "step"), rows)


def _wheels(console: Console, report: Report) -> None:
    rows = [(wheel.target, wheel_origin(wheel), wheel_hits(wheel), wheel.key[:12]) for wheel in report.wheels]
    _table(console, "Wheels", ("target", "origin", ">compiler cache hits", "key"), rows)
    for sentence in compiler_sentences(report):
        console.print(f"  {sentence}", markup=False)


def _layers(console: Console, report: Report) -> None:
    if report.layers_unknown:
        console.print(f"Bytes of layers: {report.layers_unknown}", markup=False)
    rows: list[tuple[str, ...]] = [
        (layer.target, layer.instruction, size_or_unknown(layer.compressed), size_or_unknown(layer.uncompressed))
        for layer in report.layers
    ]
    if rows:
        sums = [layer_total(report.layers, compressed=compressed) for compressed in (True, False)]
        rows.append(("all", "", *sums))
    columns = ("target", "instruction", ">compressed", ">uncompressed")
    _table(console, "Layers beyond the base", columns, rows)


def _contents(console: Console, report: Report) -> None:
    _table(console, "What the image holds", ("", ">bytes", ">files"), list(contents_rows(report)))
    packages = report.contents.get("packages", ())[:_PACKAGES]
    rows = [
        (str(entry["name"]), str(entry["version"]), size(entry["bytes"]), str(entry["files"])) for entry in packages
    ]
    _table(console, "Largest packages that the base lacks", ("package", "version", ">bytes", ">files"), rows)


def _table(console: Console, title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
