"""Where the bars of the Gantt chart stand, in units of its SVG. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from bake.units import duration

if TYPE_CHECKING:
    from generator.report.model import Report
    from generator.report.spans import Span

WIDTH, LABELS, TOP = 1000.0, 210.0, 34.0
_LANE, _BAR, _GAP = 18.0, 14.0, 8.0
_ROOM = WIDTH - LABELS - 12.0
_LETTER = 6.2  # width of a letter in a bar, at its font size
_NARROWEST = 1.5
_TICKS = 8
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A step: place, what stands in it, and what is said of it."""

    x: float
    y: float
    width: float
    height: float
    style: str
    label: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A target: its name and its bars, in as many lanes as steps ran side by side."""

    name: str
    critical: bool
    y: float
    height: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark of the time axis."""

    x: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The whole chart."""

    width: float
    height: float
    left: float
    top: float
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]


def chart_of(report: Report) -> Chart:
    """Lay the chart out: targets in order of their first step, time to the right."""
    length = max(report.wall, *(span.end for span in report.spans), 0.001) if report.spans else max(report.wall, 0.001)
    scale = _ROOM / length
    rows: list[Row] = []
    y = TOP
    for line in report.targets:
        spans = [span for span in report.spans if span.target == line.name]
        lanes = _lanes(spans)
        height = _LANE * max(1, len(lanes))
        bars = tuple(
            _bar(report, span, scale, y + number * _LANE) for number, lane in enumerate(lanes) for span in lane
        )
        rows.append(Row(name=line.name, critical=line.critical > 0, y=y, height=height, bars=bars))
        y += height + _GAP
    return Chart(width=WIDTH, height=y + 4, left=LABELS, top=TOP, rows=tuple(rows), ticks=tuple(_ticks(length, scale)))


def _lanes(spans: list[Span]) -> list[list[Span]]:
    lanes: list[list[Span]] = []
    for span in spans:
        for lane in lanes:
            if lane[-1].end <= span.start:
                lane.append(span)
                break
        else:
            lanes.append([span])
    return lanes


def _bar(report: Report, span: Span, scale: float, y: float) -> Bar:
    critical = (span.target, span.name) in report.critical
    width = max(_NARROWEST, span.seconds * scale)
    mark = "✕ " if span.state == "failed" else "◆ " if critical else ""
    text = f"{mark}{duration(span.seconds)} {span.name}"
    letters = int((width - 8) / _LETTER)
    style = "failed" if span.state == "failed" else "cached" if span.cached else "critical" if critical else "ran"
    said = f"{span.target}: {span.name}; {span.state}, {duration(span.seconds)}, from {duration(span.start)}"
    return Bar(
        x=LABELS + span.start * scale,
        y=y,
        width=width,
        height=_BAR,
        style=style,
        label=_cut(text, letters),
        title=f"{said}{', on the critical path' if critical else ''}",
    )


def _cut(text: str, letters: int) -> str:
    if letters < len("◆ 12 min 34 s") and letters < len(text):
        return ""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _ticks(length: float, scale: float) -> list[Tick]:
    step = next((step for step in _STEPS if length / step <= _TICKS), ceil(length / _TICKS))
    count = int(length / step)
    return [Tick(x=LABELS + number * step * scale, label=_clock(number * step)) for number in range(count + 1)]


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
