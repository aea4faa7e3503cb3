"""Looks whether the docker command line has a buildx that is new enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, ok
from bake.engine.facts import require_buildx

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "buildx"


def check(subject: Subject, _engine: Engine) -> Iterator[Finding]:
    """Check presence and version."""
    yield ok(NAME, f"buildx {(subject.ask_buildx or require_buildx)()}")
