"""What an export tells of the image that it made, and whether a second export made the same one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bake.errors import BuildFailed
from bake.progress.events import State
from generator.plan.names import IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bake.buildx.driver import BakeOutcome


def digest_in(metadata: Mapping[str, Any]) -> str:
    """Give the digest of the image from what buildx wrote; "" where it says none."""
    return str(metadata.get(IMAGE, {}).get("containerimage.digest", ""))


def config_digest_in(metadata: Mapping[str, Any]) -> str:
    """Give the digest of its configuration: the same for every exporter, and it names all content by its hash.

    Exporters of archives tell none, nor does one that sends to an engine (Engine 28.5).
    """
    return str(metadata.get(IMAGE, {}).get("containerimage.config.digest", ""))


def held_to(verified: BakeOutcome, exported: BakeOutcome, *, config: str | None = None) -> BakeOutcome:
    """Give the second export as it went; as a failure where it made another image than the one that was verified.

    Args:
        config: digest of the configuration that was found in the export; None: the two manifests are compared.
    """
    if exported.failure is not None:
        return exported
    if config is None:
        wanted, found = digest_in(verified.metadata), digest_in(exported.metadata)
    else:
        wanted, found = config_digest_in(verified.metadata), config
    if wanted and wanted == found:
        return exported
    return dataclasses.replace(exported, state=State.FAILED, failure=_another(wanted, found))


def _another(wanted: str, found: str) -> BuildFailed:
    if wanted and found:
        return BuildFailed(
            f"the export made another image ({found}) than the one that was verified ({wanted}); no tag names it",
            where=f"target {IMAGE}",
            remedy="bake again: the build cache was cleaned, or the builder changed, while it was verified",
        )
    return BuildFailed(
        "buildx did not tell which image it made, so it can't be held against the one that was verified",
        where=f"target {IMAGE}",
        remedy="update buildx and BuildKit (`doctor` says from which version on)",
    )
