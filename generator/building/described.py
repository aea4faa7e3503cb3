"""Which description of a builder holds: the site's before the recipe's, as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generator.recipe import Recipe
    from generator.recipe.builder import Description
    from generator.site import SiteFile


@dataclass(frozen=True, kw_only=True)
class Described:
    """A description, and the file that it came from: its paths count from that file's folder."""

    description: Description
    file: Path

    def path(self, value: str) -> Path:
        """Give a path of the description as an absolute one."""
        return (self.file.parent / Path(value).expanduser()).resolve()

    def makes(self, name: str | None) -> bool:
        """Tell whether ``builder up`` makes the builder of this name: it is this one, and has a driver."""
        return self.description.driver is not None and self.description.name == name


def described_by(recipe: Recipe, recipe_path: str, place: SiteFile) -> Described | None:
    """Take the site's ``builder``, else the recipe's; None where neither names one."""
    if place.site.builder is not None and place.file is not None:
        return Described(description=place.site.builder, file=place.file)
    if recipe.builder is not None:
        return Described(description=recipe.builder, file=Path(recipe_path))
    return None
