"""The report as one page: a chart, tables, no script, and nothing that has to be fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.units import duration, size
from generator import __version__
from generator.report import wording
from generator.report.chart import chart_of

if TYPE_CHECKING:
    from generator.report.model import Report


def as_html(report: Report) -> str:
    """Write the page; all text in it is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("generator.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=duration,
        size=size,
        size_or_unknown=wording.size_or_unknown,
        origin=wording.wheel_origin,
        hits=wording.wheel_hits,
    )
    return environment.get_template("report.html.j2").render(
        version=__version__,
        report=report,
        chart=chart_of(report),
        sentences=list(wording.bounds_sentences(report)),
        compilers=list(wording.compiler_sentences(report)),
        compressed=wording.layer_total(report.layers, compressed=True),
        uncompressed=wording.layer_total(report.layers, compressed=False),
        contents=list(wording.contents_rows(report)),
        packages=list(report.contents.get("packages", ()))[:20],
        duplicates=list(report.contents.get("duplicates", ()))[:20],
    )
