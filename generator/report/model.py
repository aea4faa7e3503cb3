"""The report as data, made from the record of a bake, the links between its targets, and known bytes. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from generator.report.critical import PathStep, critical_path
from generator.report.spans import Span, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bake.buildx.results import Results

SCHEMA = 1
NEEDS = ("recipe", "state", "started", "completed", "requested", "targets")  # of the record


@dataclass(frozen=True, kw_only=True)
class TargetLine:
    """One target: when it worked, how long its own steps took, side by side or not, and what ran or was cached."""

    name: str
    state: str
    start: float
    end: float
    busy: float
    critical: float
    ran: int
    cached: int
    needs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What no bake of the same steps could be shorter than, in seconds; None: not recorded.

    ``ratio`` is the wall time divided by the larger of the critical path and CPU seconds ÷ cores.
    """

    critical_path: float
    cpu_seconds: float | None
    cores: int | None
    bound: float
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """Where the wheel of a compile target came from, and how often the compiler cache hit; None: nothing was said.

    ``budget`` is how many compilers the compile ran at once, and why; ``measured`` what they took.
    """

    target: str
    origin: str
    key: str
    reference: str
    hits: int | None
    calls: int | None
    budget: str = ""
    measured: str = ""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that the image has beyond its base; sizes in bytes, None: not known."""

    target: str
    instruction: str
    compressed: int | None
    uncompressed: int | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the report says; times in seconds since the bake began."""

    recipe: str
    state: str
    started: str
    wall: float
    requested: tuple[str, ...]
    failure: str
    targets: tuple[TargetLine, ...]
    spans: tuple[Span, ...]
    path: tuple[PathStep, ...]
    bounds: Bounds
    wheels: tuple[Wheel, ...]
    published: Mapping[str, Any]
    layers: tuple[Layer, ...] = ()
    layers_unknown: str = ""
    contents: Mapping[str, Any] = field(default_factory=dict)

    @property
    def critical(self) -> frozenset[tuple[str, str]]:
        """Target and name of the steps on the critical path."""
        return frozenset((step.target, step.name) for step in self.path)

    def as_data(self) -> dict[str, Any]:
        """The content of the JSON form."""
        return {"schema": SCHEMA, **asdict(self)}


def make_report(
    results: Results,
    links: Mapping[str, frozenset[str]] | None,
    *,
    layers: tuple[Layer, ...] = (),
    layers_unknown: str = "",
    contents: Mapping[str, Any] | None = None,
) -> Report:
    """Make the report.

    Args:
        results: the record of the bake. links: which targets each target names as contexts; None: not known.
        layers: of the image. layers_unknown: why they are not known. contents: what ``bytes.json`` says.
    """
    data = results.data
    began = datetime.fromisoformat(data["started"]).timestamp()
    wall = max(0.0, datetime.fromisoformat(data["completed"]).timestamp() - began)
    spans = spans_of(results, started=began, wall=wall)
    path = critical_path(spans, None if links is None else {name: _needs(links, name) for name in results.targets})
    return Report(
        recipe=str(data["recipe"]),
        state=str(data["state"]),
        started=str(data["started"]),
        wall=wall,
        requested=tuple(data["requested"]),
        failure=str((data.get("failure") or {}).get("text", "")),
        targets=_targets(results, spans, path, links or {}),
        spans=spans,
        path=path,
        bounds=_bounds(wall, path, data.get("cpu") or {}),
        wheels=_wheels(data.get("wheels") or {}),
        published=data.get("published") or {},
        layers=layers,
        layers_unknown=layers_unknown,
        contents=contents or {},
    )


def _needs(links: Mapping[str, frozenset[str]], target: str) -> frozenset[str]:
    found: set[str] = set()
    rest = [target]
    while rest:
        fresh = links.get(rest.pop(), frozenset()) - found
        found |= fresh
        rest += fresh
    return frozenset(found)


def _targets(
    results: Results, spans: tuple[Span, ...], path: tuple[PathStep, ...], links: Mapping[str, frozenset[str]]
) -> tuple[TargetLine, ...]:
    summary = results.data.get("cache") or {}
    lines = []
    for name, target in results.data["targets"].items():
        own = [span for span in spans if span.target == name]
        counted = summary.get(name) or _counted(results, name)
        lines.append(
            TargetLine(
                name=name,
                state=str(target.get("state", "")),
                start=min((span.start for span in own), default=0.0),
                end=max((span.end for span in own), default=0.0),
                busy=_covered(span for span in own if not span.cached),
                critical=sum(step.seconds for step in path if step.target == name),
                ran=int(counted["ran"]),
                cached=int(counted["cached"]),
                needs=tuple(sorted(links.get(name, ()))),
            )
        )
    return tuple(sorted(lines, key=lambda line: (line.start, line.end, line.name)))


def _counted(results: Results, name: str) -> dict[str, int]:
    """Count as ``generator.reuse.cache_summary`` does, for a record without its counts."""
    own = [step for step in results.steps_of(name) if step.kind == "instruction"]
    return {
        "ran": sum(step.state in ("done", "failed", "running") for step in own),
        "cached": sum(step.cached for step in own),
    }


def _covered(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of the steps ran."""
    total = reached = 0.0
    for start, end in sorted((span.start, span.end) for span in spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _bounds(wall: float, path: tuple[PathStep, ...], cpu: Mapping[str, Any]) -> Bounds:
    length = sum(step.seconds for step in path)
    seconds, cores = cpu.get("seconds"), cpu.get("cores")
    bound = max(length, seconds / cores) if seconds is not None and cores else length
    return Bounds(
        critical_path=length,
        cpu_seconds=None if seconds is None else float(seconds),
        cores=cores or None,
        bound=bound,
        ratio=wall / bound if bound > 0 else None,
    )


def _wheels(wheels: Mapping[str, Any]) -> tuple[Wheel, ...]:
    return tuple(
        Wheel(
            target=name,
            origin=str(wheel.get("origin", "")),
            key=str(wheel.get("key", "")),
            reference=str(wheel.get("reference", "")),
            hits=(wheel.get("compiler_cache") or {}).get("hits"),
            calls=(wheel.get("compiler_cache") or {}).get("calls"),
            budget=str((wheel.get("compilers") or {}).get("budget", "")),
            measured=str((wheel.get("compilers") or {}).get("measured", "")),
        )
        for name, wheel in wheels.items()
    )
