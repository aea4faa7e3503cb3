"""Looks for an engine, new enough, with the containerd image store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, ok, warning
from bake.engine.facts import require_new_enough
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "engine"


def check(_subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Check version, image store and what the machine has."""
    facts = require_new_enough(engine.facts)
    yield ok(
        NAME,
        f"Docker Engine {facts.version} at {facts.host}: {facts.cpus} CPUs, {size(facts.memory)} of memory, "
        f"{facts.architecture}",
    )
    if not facts.containerd_store:
        yield warning(
            NAME,
            f"the engine keeps images with {facts.storage_driver}, not in the containerd image store: "
            "it writes no cache to a registry, and pushes larger layers (gzip, whatever is asked for)",
            'set {"features": {"containerd-snapshotter": true}} in /etc/docker/daemon.json',
        )
