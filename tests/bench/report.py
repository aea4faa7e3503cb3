"""The results for programs (JSON) and for people (Markdown). Pure but for ``machine``."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.bounds import Row, middle, rows
from tests.bench.meter import parse_table

SCHEMA = 1


def machine(docker: str, source: str) -> dict[str, Any]:
    """What the figures were measured on. ``docker``: version of the engine; ``source``: what CPU and memory are of."""
    memory = parse_table(Path("/proc/meminfo").read_text())["MemTotal"]
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model[0] if model else platform.machine(),
        "memory": memory,
        "kernel": platform.release(),
        "engine": docker,
        "gpu": "none used: both ways migrate the models on the CPU, with the same scripts",
        "cpu_and_memory_of": source,
        "load_before": round(os.getloadavg()[0], 2),
    }


def document(recipe: str, base: str, place: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All that was measured, with the table of ratios."""
    return {
        "schema": SCHEMA,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "recipe": recipe,
        "base": base,
        "machine": dict(place),
        "rounds": max((run["round"] for run in runs), default=0),
        "table": [row.as_data() for row in rows(runs, place["cores"])],
        "runs": list(runs),
    }


def markdown(data: Mapping[str, Any]) -> str:
    """The results as Markdown: ratios, runs, the guide's steps, and what our checks found."""
    place = data["machine"]
    facts = (
        f"{data['rounds']} rounds on {place['cores']} cores ({place['processor']}), {_bytes(place['memory'])} of memory"
        f", Docker Engine {place['engine']}. Load before: {place['load_before']}. Figures are medians. CPU and memory: "
        f"{place['cpu_and_memory_of']}. GPU: {place['gpu']}."
    )
    parts = [
        f"# Bench of the recipe {data['recipe']}, {data['finished']}",
        facts,
        "## Ratios",
        _ratios([_row(entry) for entry in data["table"]]),
        "## Runs",
        _runs(data["runs"]),
    ]
    steps = _steps(data["runs"])
    if steps:
        parts += ["## The guide's steps, cold", steps]
    path = [run for run in data["runs"] if (run["way"], run["scenario"]) == ("ours", "cold")]
    if path:
        chain = path[-1]["critical_path"]
        parts.append(f"Critical path of our last cold bake, {chain['seconds']:.0f} s: {' → '.join(chain['targets'])}.")
    checks = [run for run in data["runs"] if run["scenario"] == "verify"]
    if checks:
        parts += ["## Checks", _checks(checks)]
    return "\n\n".join(parts) + "\n"


def _row(entry: Mapping[str, Any]) -> Row:
    names = ("what", "value", "unit", "against", "bound")
    return Row(**{name: entry[name] for name in names}, most=entry["at_most"])


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def _ratios(table: Sequence[Row]) -> str:
    lines = [
        [
            row.what,
            _figure(row.value, row.unit),
            row.bound
            if row.bound.startswith(("critical", "CPU"))
            else f"{row.bound}: {_figure(row.against, row.unit)}",
            f"{row.ratio:.2f}",
            f"≤ {row.most:.2f}",
            "yes" if row.reached else "**no**",
        ]
        for row in table
    ]
    return _table(["what", "ours", "against", "ratio", "asked for", "reached"], lines)


def _runs(runs: Sequence[Mapping[str, Any]]) -> str:
    kinds = dict.fromkeys((run["scenario"], run["way"]) for run in runs if run["scenario"] != "verify")
    lines = []
    for scenario, way in kinds:

        def figure(*keys: str, scenario: str = scenario, way: str = way) -> float | None:
            return middle(runs, way, scenario, *keys)

        lines.append(
            [
                scenario,
                way,
                _figure(figure("seconds"), "s"),
                _figure(figure("cpu_seconds"), "s"),
                _figure(figure("peak_memory"), "B"),
                _figure(figure("bytes", "added"), "B"),
                _figure(figure("pushed_bytes"), "B"),
            ]
        )
    return _table(["scenario", "way", "wall", "CPU", "peak memory", "bytes added", "bytes pushed"], lines)


def _steps(runs: Sequence[Mapping[str, Any]]) -> str:
    cold = [run for run in runs if (run["way"], run["scenario"]) == ("guide", "cold")]
    if not cold:
        return ""
    lines = [
        [
            step["name"],
            _figure(step["seconds"], "s"),
            _figure(step["cpu_seconds"], "s"),
            _figure(step["peak_memory"], "B"),
        ]
        for step in cold[-1]["steps"]
    ]
    return _table(["step", "wall", "CPU", "peak memory"], lines)


def _checks(checks: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for check in checks:
        subjects: dict[str, list[str]] = {}
        for row in check["failed"]:
            subjects.setdefault(row["check"], []).append(row["subject"])
        failed = "; ".join(f"{len(found)} × {kind}: {found[0]}" for kind, found in subjects.items()) or "none"
        lines.append([str(check["round"]), check["way"], str(check["rows"]), failed.replace("|", "\\|")])
    return _table(["round", "way", "rows", "failed, with the first of each kind"], lines)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return _bytes(value) if unit == "B" else f"{value:.1f} s"


def _bytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
