"""How large the layers of an image are, as registries count them, compressed; and which of them exceed a limit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bake.registry.answer import Outcome
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker

    from bake.reference import Reference
    from bake.registry.client import Registry

MIB = 1 << 20


def layers_in(registry: Registry, reference: Reference) -> dict[str, int] | None:
    """Read the layers of an image, of all its platforms, from its manifests.

    Returns:
        compressed bytes by digest; None when the registry can't be asked, or does not have the image.

    """
    answer = registry.manifest(reference)
    if answer.outcome is not Outcome.ANSWERS:
        return None
    manifest = answer.data
    if "manifests" not in manifest:
        return {layer["digest"]: int(layer["size"]) for layer in manifest.get("layers", ())}
    found: dict[str, int] = {}
    for row in manifest["manifests"]:
        below = layers_in(registry, dataclasses.replace(reference, digest=row["digest"]))
        if below is None:
            return None
        found |= below
    return found


def layers_on(client: docker.DockerClient, image: str) -> tuple[int, ...]:
    """Give the uncompressed bytes of the layers of an image that the engine holds; () when it does not.

    The engine's interface has no compressed sizes; an uncompressed one is an upper bound.
    """
    from docker.errors import NotFound

    try:
        rows: list[dict[str, Any]] = client.api.history(image)
    except NotFound:
        return ()
    return tuple(int(row["Size"]) for row in rows)


def too_large(layers: Mapping[str, int], limit: int) -> dict[str, int]:
    """Give those layers that exceed a limit in bytes, the largest first."""
    return {digest: count for digest, count in sorted(layers.items(), key=lambda row: -row[1]) if count > limit}


def listed(layers: Mapping[str, int]) -> str:
    """Name layers for a message: ``sha256:0123456789ab (1.2 GB)``."""
    return ", ".join(f"{digest[:19]} ({size(count)})" for digest, count in layers.items())
