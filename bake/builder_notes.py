"""Notes of which builders were made from a description: kept with buildx's own, as they belong together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bake.builder_facts import BuilderFacts


def note_file(name: str) -> Path:
    """Where it is noted that a builder was made from a description."""
    docker = os.environ.get("DOCKER_CONFIG") or str(Path("~/.docker").expanduser())
    return Path(os.environ.get("BUILDX_CONFIG") or f"{docker}/buildx") / "image-uplift" / f"{name}.json"


def read_note(name: str) -> dict[str, Any] | None:
    """Read what was noted of a builder; None: it was not made from a description."""
    try:
        read = json.loads(note_file(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) else None


def write_note(name: str, note: Mapping[str, Any] | None) -> None:
    """Note how a builder was made; None: forget it."""
    file = note_file(name)
    if note is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def is_as_noted(there: BuilderFacts, note: Mapping[str, Any] | None) -> bool:
    """Tell whether a builder is the one that was noted, or a part of it: none that somebody made since by that name."""
    plan = (note or {}).get("plan") or {}
    endpoints = [node.get("endpoint") for node in plan.get("nodes", ())]
    same = there.driver == plan.get("driver") and len(there.nodes) <= len(endpoints)
    return same and (
        there.driver != "remote" or [node.endpoint for node in there.nodes] == endpoints[: len(there.nodes)]
    )
