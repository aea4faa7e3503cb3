"""What is settled before anything outside of this program is asked: the facts that a bake starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bake.credentials import Keyring
from bake.retry import Policy
from generator.plan.specs import checksum_variable
from generator.recipe.groups import FETCHER_IMAGE
from generator.resolve.caches import Caches
from generator.resolve.choices import BUILD_FOLDER
from generator.resolve.origin import Origin
from generator.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.trust import Signer


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a bake is to use, as decided: every name checked, no choice left.

    What only the engine, a registry or the disk can tell is no part of it; see ``generator.job.Preflight``.

    Args:
        fetcher: the image that fetches. base_mirror, fetcher_mirror: their names at this site, None where they have no
            other.
        served: SHA-256 by asset, of what the site's mirrors serve in place of the original. disk_gib: room that a
            first bake takes, in GiB. platform: this machine's or the lock's. trust: whose signatures count;
            whoever it is false for takes all. signer: signs what is pushed. documents: SHA-256 of ``recipe`` and
            ``lock``. files: those that the lock names, by group, with their SHA-256. deadline: when a build is
            ended that is not done, in seconds since 1970.
    """

    tag: str
    registry: str
    base: str
    archs: str
    ca_bundle: Path | None
    folder: Path = BUILD_FOLDER
    progress: str = "auto"
    builder: str | None = None
    netrc: Path | None = None
    mirrors: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    base_mirror: str | None = None
    disk_gib: float = 0.0
    toolkit_image: str | None = None
    assets_folder: Path = Path()
    caches: Caches = field(default_factory=Caches)
    platform: str = ""
    fetcher: str = FETCHER_IMAGE
    fetcher_mirror: str | None = None
    served: Mapping[str, str] = field(default_factory=dict)
    more_tags: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    keyring: Keyring = field(default_factory=Keyring)
    pushing: Policy = field(default_factory=Policy)
    deadline: float | None = None
    layer_limit_mib: int | None = None
    trust: Trust = field(default_factory=Trust)
    signer: Signer | None = None
    documents: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def image(self) -> str:
        """The full name of the image."""
        return f"{self.registry}/{self.tag}" if self.registry else self.tag

    @property
    def names(self) -> tuple[str, ...]:
        """All full names of the image, each with its tag, the first one last: it stands for the others."""
        prefix = f"{self.registry}/" if self.registry else ""
        first = self.tag if ":" in self.tag else f"{self.tag}:latest"
        return tuple(f"{prefix}{name}" for name in (*self.more_tags, first))

    def variables(self) -> dict[str, str]:
        """The variables of the bake file that are decided beforehand, with their values."""
        return {
            "FETCHER_IMAGE": self.fetcher,
            **{checksum_variable(name): value for name, value in self.served.items()},
            **({"TOOLKIT_IMAGE": self.toolkit_image} if self.toolkit_image else {}),
            "NETRC": str(self.netrc) if self.netrc else "",
            "TAG": self.tag,
            "MORE_TAGS": " ".join(self.more_tags),
            "IMAGE_SOURCE": self.origin.source,
            "IMAGE_REVISION": self.origin.revision,
            "IMAGE_VERSION": self.tag.partition(":")[2],
            "REGISTRY": self.registry,
            "BASE_IMAGE": self.base,
            "TORCH_CUDA_ARCH_LIST": self.archs,
            "CA_BUNDLE": str(self.ca_bundle) if self.ca_bundle else "",
        }
