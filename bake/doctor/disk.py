"""Looks for room where the engine keeps images and build cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, ok, warning
from bake.engine.facts import require_disk
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "disk"


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Check free space against what a bake needs."""
    if not engine.own_builder and any(node.elsewhere and not node.contained for node in engine.builder.nodes):
        yield warning(
            NAME,
            f"the free space of the builder {engine.builder.name} cannot be seen from here; a bake needs "
            f"{size(subject.disk)}",
            "look at `df` on the builder's machines",
        )
        return
    facts = engine.facts
    if facts.free_disk is None:
        yield warning(
            NAME,
            f"the free space of the engine at {facts.host} cannot be seen from here; a bake needs {size(subject.disk)}",
            "look at `df` on the engine's machine",
        )
        return
    require_disk(facts, subject.disk)
    need = f", a bake needs {size(subject.disk)}" if subject.disk else ""
    yield ok(NAME, f"{size(facts.free_disk)} free under {facts.data_root}{need}")
