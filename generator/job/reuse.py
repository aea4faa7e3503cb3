"""What a bake reuses of earlier ones: the keys of its targets, wheels of the stores, exact caches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator.plan.specs import wheel_variable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from generator.plan.keys import Key

KEY_DIGITS = 32  # of the key's hash in a tag: 128 bits


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A compile target and where its wheel is: ``reference`` names it by digest, "" when no store has it."""

    target: str
    extension: str
    key: Key
    reference: str = ""

    @property
    def tag(self) -> str:
        """The tag of its image in any store."""
        return f"{self.extension}-{self.key.digest[:KEY_DIGITS]}"


@dataclass(frozen=True, kw_only=True)
class WheelLookup:
    """What the stores have of the wheels of one bake; ``warnings`` are for the user."""

    wheels: tuple[Wheel, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Wheel, ...]:
        """Those that no store has."""
        return tuple(wheel for wheel in self.wheels if not wheel.reference)

    def without(self, broken: Collection[Wheel]) -> WheelLookup:
        """Give it as if no store had these."""
        wheels = tuple(dataclasses.replace(w, reference="") if w in broken else w for w in self.wheels)
        return dataclasses.replace(self, wheels=wheels)

    def variables(self) -> dict[str, str]:
        """Bake variables that put images in the place of compile targets."""
        return {wheel_variable(wheel.extension): wheel.reference for wheel in self.wheels if wheel.reference}


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """What a bake reuses.

    Args:
        keys: of all its targets. lookup: its compile targets and the stores' wheels. exact: targets whose steps the
            registry cache has for just these inputs, each with the end of the cache's tag.
    """

    keys: Mapping[str, Key] = field(default_factory=dict)
    lookup: WheelLookup = field(default_factory=WheelLookup)
    exact: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Bake variables that put all of it to use."""
        found = ";".join(f"{target}={tag}" for target, tag in self.exact.items())
        return {**self.lookup.variables(), "CACHE_EXACT": found}
