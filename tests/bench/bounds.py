"""What a bake could not be faster than, and the table of ratios. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bake.buildx.results import Results

AT_MOST = "at most"
WORSE = 1.1  # times a saved ratio: what counts as a regression


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A chain of targets that wait for each other, and the seconds of their own steps."""

    targets: tuple[str, ...]
    seconds: float


def own_seconds(results: Results, target: str) -> float:
    """Seconds in which a target's own instructions ran; what ran side by side counts once."""
    return sum(end - start for start, end in results.busy(target))


def export_seconds(results: Results, target: str) -> float:
    """Seconds of a target's exports. No other target waits for them."""
    return sum(step.seconds for step in results.steps_of(target) if step.kind == "export" and not step.cached)


def critical_path(results: Results, waits_for: Mapping[str, Sequence[str]]) -> Chain:
    """The longest chain, by the seconds that the targets took in this bake, with the exports of its last target.

    Args:
        results: the record of a bake. waits_for: targets by the target that needs them.

    The times are those of the bake itself: where it had too few cores for what ran side by side, the chain is longer
    than it would be alone.
    """
    known: dict[str, Chain] = {}

    def longest(target: str) -> Chain:
        if target not in known:
            before = max(
                (longest(name) for name in waits_for.get(target, ())), key=lambda path: path.seconds, default=None
            )
            chain = before.targets if before else ()
            seconds = (before.seconds if before else 0.0) + own_seconds(results, target)
            known[target] = Chain(targets=(*chain, target), seconds=seconds)
        return known[target]

    def whole(target: str) -> Chain:
        chain = longest(target)
        return Chain(targets=chain.targets, seconds=chain.seconds + export_seconds(results, target))

    return max(
        (whole(name) for name in results.targets), key=lambda path: path.seconds, default=Chain(targets=(), seconds=0)
    )


def executed(results: Results) -> dict[str, float]:
    """Targets whose instructions ran in this bake, with their seconds; cached ones are left out."""
    spans = {name: sum(end - start for start, end in results.busy(name)) for name in results.targets}
    return {name: round(seconds, 2) for name, seconds in spans.items() if seconds}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: what was measured, against what, and the figure that is asked for."""

    what: str
    value: float
    unit: str
    against: float
    bound: str
    most: float

    @property
    def ratio(self) -> float:
        return self.value / self.against if self.against else 0.0

    @property
    def reached(self) -> bool:
        return self.ratio <= self.most

    def as_data(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "value": round(self.value, 2),
            "unit": self.unit,
            "against": round(self.against, 2),
            "bound": self.bound,
            "ratio": round(self.ratio, 3),
            "at_most": self.most,
            "reached": self.reached,
        }


def worse(now: Sequence[Mapping[str, Any]], saved: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the rows whose ratio is more than a tenth above that of a saved table, with both ratios.

    What is held against a number of seconds is left out: that depends on the machine.
    """

    def ratios(table: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
        return {(row["what"], _kind(row["bound"])): row["ratio"] for row in table if row["bound"] != AT_MOST}

    before = ratios(saved)
    return [
        f"{what}, against {bound}: {ratio:.2f}, and {before[what, bound]:.2f} in the saved run"
        for (what, bound), ratio in ratios(now).items()
        if ratio > WORSE * before.get((what, bound), ratio)
    ]


def _kind(bound: str) -> str:
    """Leave out of the limit of a cold bake what differs from run to run."""
    return "its limit" if bound.startswith(("critical path", "CPU")) else bound


def middle(runs: Sequence[Mapping[str, Any]], way: str, scenario: str, *keys: str) -> float | None:
    """The median over the rounds of one figure; None where it wasn't measured."""
    found: list[float] = []
    for run in runs:
        value: Any = run if (run["way"], run["scenario"]) == (way, scenario) else None
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            found.append(value)
    return median(found) if found else None


def rows(runs: Sequence[Mapping[str, Any]], cores: int) -> list[Row]:
    """The table of what the software must reach, for what was measured."""
    made: list[Row] = []

    def row(what: str, value: float | None, against: float | None, bound: str, most: float, unit: str = "s") -> None:
        if value is not None and against:
            made.append(Row(what=what, value=value, against=against, bound=bound, most=most, unit=unit))

    cold = middle(runs, "ours", "cold", "seconds")
    cpu = middle(runs, "ours", "cold", "cpu_seconds")
    path = middle(runs, "ours", "cold", "critical_path", "seconds")
    row("cold bake", cold, middle(runs, "guide", "cold", "seconds"), "the guide's way", 0.55)
    if cpu is not None and path is not None:
        name = f"critical path {path:.0f} s" if path > cpu / cores else f"CPU {cpu:.0f} s ÷ {cores} cores"
        row("cold bake", cold, max(path, cpu / cores), name, 1.25)
    row("nothing changed", middle(runs, "ours", "nothing changed", "seconds"), 3.0, AT_MOST, 1.0)
    alone = middle(runs, "ours", "conversion changed", "critical_path", "seconds")
    row("conversion changed", middle(runs, "ours", "conversion changed", "seconds"), alone, "its steps alone", 1.2)
    changed, whole = (
        middle(runs, "ours", "one .cu changed", key) for key in ("compile_seconds", "cold_compile_seconds")
    )
    row("one .cu changed: its compile", changed, whole, "its cold compile", 0.10)
    pull = middle(runs, "ours", "fresh runner", "pull_seconds")
    row("fresh runner, warm registry", middle(runs, "ours", "fresh runner", "seconds"), pull, "pulling the image", 1.2)
    added = middle(runs, "ours", "cold", "bytes", "added")
    row(
        "bytes added to the base",
        added,
        middle(runs, "ours", "cold", "bytes", "needed"),
        "new packages + models + patched files",
        1.05,
        "B",
    )
    row("bytes added to the base", added, middle(runs, "guide", "cold", "bytes", "added"), "the guide's way", 1.0, "B")
    ours, guides = (middle(runs, way, "push", "pushed_bytes") for way in ("ours", "guide"))
    row("bytes pushed", ours, guides, "the guide's way", 1.0, "B")
    return made
