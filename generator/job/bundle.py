"""A bundle: a folder with what the targets with the network left; a bake takes it from there, and needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from generator.plan import Graph


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The folder; below ``fetched`` there is one for each target with the network."""

    folder: Path

    def contexts(self, graph: Graph) -> dict[str, str]:
        """Give the overrides that put its folders in the place of these targets."""
        fetched = {
            target.name: str(self.folder / "fetched" / target.name) for target in graph.targets if target.fetches
        }
        return {
            f"{target.name}.contexts.{context}": fetched[used]
            for target in graph.targets
            for context, used in target.inputs.items()
            if used in fetched
        }
