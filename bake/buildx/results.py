"""The record of a bake: one JSON file, ``results.json``, in the build folder; written on failure and cancel too.

No build argument, variable, secret or environment value goes into it: only names, times, digests and error texts.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from bake.buildx.record_form import check
from bake.errors import UsageError
from bake.progress.events import StepKind
from bake.progress.state import target_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bake.buildx.driver import BakeOutcome
    from bake.progress.events import Step

SCHEMA = 1
FILE_NAME = "results.json"


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """A step as recorded; ``started`` and ``completed`` in seconds since the epoch, None if it never ran."""

    name: str
    kind: str
    state: str
    started: float | None
    completed: float | None
    seconds: float
    cached: bool
    shared_with: str
    error: str


class Results:
    """A recorded bake, and questions about it.

    Args:
        data: the content of ``results.json``.

    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets that took part."""
        return tuple(self.data["targets"])

    def steps_of(self, target: str, *, shared: bool = False) -> tuple[StepResult, ...]:
        """Steps of a target; with ``shared``, also those of other targets that it needed."""
        return tuple(
            StepResult(
                **{
                    **step,
                    "started": _seconds(step["started"]),
                    "completed": _seconds(step["completed"]),
                }
            )
            for step in self.data["targets"].get(target, {}).get("steps", ())
            if shared or not step["shared_with"]
        )

    def digest_of(self, target: str) -> str | None:
        """Digest of the image that a target made; None when it made none."""
        value = self.data["targets"].get(target, {}).get("digest")
        return value if isinstance(value, str) else None

    def busy(self, target: str) -> tuple[tuple[float, float], ...]:
        """Disjoint time spans, in order, in which a target's own instructions ran (not cached ones)."""
        return _merged(
            (step.started, step.completed)
            for step in self.steps_of(target)
            if step.kind == "instruction"
            and not step.cached
            and step.started is not None
            and step.completed is not None
        )

    def overlap(self, first: str, second: str) -> float:
        """Seconds in which instructions of both targets ran side by side."""
        return sum(
            max(0.0, min(end, other_end) - max(start, other_start))
            for start, end in self.busy(first)
            for other_start, other_end in self.busy(second)
        )


def record(
    outcome: BakeOutcome,
    *,
    recipe: str,
    folder: Path,
    sizes: Mapping[str, int] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``results.json``, in one piece or not at all.

    Args:
        outcome: the bake. recipe: its name. folder: the build folder. sizes: bytes of images, by target. more: what
            else belongs into the record, beside the targets.

    Returns:
        the path of the file.

    """
    path = folder / FILE_NAME
    data = {**as_data(outcome, recipe=recipe, sizes=sizes or {}), **(more or {})}
    text = json.dumps(data, indent=1, sort_keys=False)
    temporary = path.with_name(f".{FILE_NAME}.{secrets.token_hex(8)}")
    folder.mkdir(parents=True, exist_ok=True)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def joined(first: BakeOutcome, second: BakeOutcome) -> BakeOutcome:
    """Join two bakes of one job, a build and the export that followed it, to one outcome.

    Steps that the second only found in the cache keep the times of the first; state, failure, metadata and what
    was requested are those of the second. Steps are matched by name: BuildKit gives what stems from a local context
    another digest in each run.
    """
    known = {(step.target, step.name) for step in first.steps}
    again = (StepKind.INTERNAL, StepKind.OTHER)
    fresh = tuple(
        step
        for step in second.steps
        if (step.target, step.name) not in known or not (step.cached or step.kind in again)
    )
    return dataclasses.replace(second, started=first.started, steps=first.steps + fresh)


def load(folder: Path, *, needs: Iterable[str] = ()) -> Results:
    """Read the record of the last bake.

    Args:
        folder: the build folder. needs: keys that there have to be.

    Raises:
        UsageError: there is none, another version wrote it, or it is damaged.

    """
    path = folder / FILE_NAME
    remedy = "bake first: python -m generator bake"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"there is no record of a bake: {error.strerror}"
        raise UsageError(reason, where=str(path), remedy=remedy) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the record can't be read: {error}", where=str(path), remedy=remedy) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError("another version wrote this record", where=str(path), remedy=remedy)
    try:
        check(data)
    except ValueError as error:
        raise UsageError(f"the record is damaged: {error}", where=str(path), remedy=remedy) from None
    if missing := [key for key in needs if key not in data]:
        raise UsageError(f"the record is damaged: it lacks {', '.join(missing)}", where=str(path), remedy=remedy)
    return Results(data)


def as_data(outcome: BakeOutcome, *, recipe: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The content of ``results.json``: times are ISO 8601 in UTC, durations seconds, sizes bytes."""
    grouped: dict[str, list[Step]] = {}
    for step in outcome.steps:
        grouped.setdefault(step.target, []).append(step)
    failure = outcome.failure
    return {
        "schema": SCHEMA,
        "recipe": recipe,
        "state": outcome.state.value,
        "started": _iso(outcome.started),
        "completed": _iso(outcome.completed),
        "seconds": round(outcome.seconds, 3),
        "requested": list(outcome.request.targets) or ["default"],
        "pushed": outcome.request.push,
        "failure": None if failure is None else {"exit_status": failure.exit_status, "text": str(failure)},
        "targets": {
            name: _target(name, steps, outcome.metadata.get(name), sizes.get(name))
            for name, steps in grouped.items()
            if name
        },
    }


def _target(name: str, steps: list[Step], metadata: Any, size: int | None) -> dict[str, Any]:
    known: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
    progress = target_progress(name, steps)
    names = known.get("image.name")
    return {
        "state": progress.state.value,
        "started": _iso(progress.started),
        "completed": _iso(progress.completed),
        "digest": known.get("containerimage.digest"),
        "config_digest": known.get("containerimage.config.digest"),
        "tags": names.split(",") if isinstance(names, str) and names else [],
        "size": size,
        "steps": [_step(step) for step in steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.title,
        "kind": step.kind.value,
        "state": step.state.value,
        "started": _iso(step.started),
        "completed": _iso(step.completed),
        "seconds": round(step.seconds(), 3),
        "cached": step.cached,
        "shared_with": step.owner if step.shared else "",
        "error": step.error,
    }


def _merged(spans: Iterable[tuple[float | None, float | None]]) -> tuple[tuple[float, float], ...]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted((start, end) for start, end in spans if start is not None and end is not None):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat(timespec="microseconds")


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
