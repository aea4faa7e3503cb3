"""What engine, registries and disk said before a bake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator.plan.specs import asset_variable
from generator.resolve.caches import Caches

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What the base brings along.

    Args:
        known: whether anybody told. user: as its configuration writes it; "" is root. requires: whether it sets
            NVIDIA_REQUIRE_CUDA. created: when it was made, in seconds since 1970; "" where it does not say.
    """

    known: bool = False
    user: str = ""
    requires: bool = False
    created: str = ""


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What was found before a bake, each of it asked once.

    Args:
        base, fetcher: images with their digests. platform: what the builder builds for, such as ``linux/amd64``.
        toolkit: the image that the toolkit is taken from, where it is one. certain: whether all of these have digests
            and the builder told its platform: the same inputs mean the same another time.
        own_builder: whether the engine's own BuildKit builds. context: the docker context of the engine that builds,
            None: the current one. insecure: the engine calls the registry of the push insecure. inherited: what the
            base brings along. assets: folders of assets that lie on this machine, by name. caches: those in reach.
    """

    base: str
    fetcher: str
    platform: str
    toolkit: str | None = None
    certain: bool = False
    own_builder: bool = True
    context: str | None = None
    insecure: bool = False
    inherited: Inherited = field(default_factory=Inherited)
    assets: Mapping[str, Path] = field(default_factory=dict)
    caches: Caches = field(default_factory=Caches)

    def variables(self) -> dict[str, str]:
        """The variables of the bake file that depend on it, with their values."""
        return {
            **{asset_variable(name): str(folder) for name, folder in self.assets.items()},
            "BASE_IMAGE": self.base,
            "FETCHER_IMAGE": self.fetcher,
            **({"TOOLKIT_IMAGE": self.toolkit} if self.toolkit else {}),
            "BASE_USER": self.inherited.user,
            "NVIDIA_REQUIRE": "new" if self.inherited.requires else "kept",
            "SOURCE_DATE_EPOCH": self.inherited.created,
            **self.caches.variables(),
        }
