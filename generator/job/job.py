"""One bake, as a value: everything that its steps need, known before the first of them starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path, PurePosixPath

    from bake.buildx.driver import BakeOutcome, BakeRequest
    from bake.progress.events import Event
    from generator.console.reporter import Reporter
    from generator.job.bundle import Bundle
    from generator.job.preflight import Preflight
    from generator.job.reuse import Reuse
    from generator.plan import Graph
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts
    from generator.verification.report import VerificationReport


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A graph, and the files that it was rendered to, by their paths below the build folder."""

    graph: Graph
    folder: Path
    file: Path
    files: Mapping[PurePosixPath, bytes]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One bake.

    Args:
        bundle: where what was fetched lies; None: the build fetches it.
        driver: what runs a request and tells a listener of its events: ``bake.buildx.driver.run_bake``. report: what
            its verification found, once that was judged.
    """

    reporter: Reporter
    recipe: Recipe
    facts: Facts
    rendered: Rendered
    preflight: Preflight
    reuse: Reuse
    driver: Callable[[BakeRequest, Callable[[Event], None]], BakeOutcome]
    report: VerificationReport | None = None
    bundle: Bundle | None = None

    @property
    def folder(self) -> Path:
        """The build folder."""
        return self.rendered.folder

    @property
    def graph(self) -> Graph:
        """The targets."""
        return self.rendered.graph

    def variables(self) -> dict[str, str]:
        """The variables of the bake file, with their values."""
        return {**self.facts.variables(), **self.preflight.variables(), **self.reuse.variables()}
