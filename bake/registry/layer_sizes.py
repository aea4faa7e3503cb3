"""How large the layers of an image are, as registries count them, compressed; and which of them exceed a limit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bake.errors import EnvironmentUnfit
from bake.registry.answer import Outcome
from bake.registry.manifest import IMAGES
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

    Raises:
        EnvironmentUnfit: an index lists indexes, and these more, without an end in sight.
    """
    found: dict[str, int] = {}
    waiting, asked = [reference], 0
    while waiting:
        answer = registry.manifest(waiting.pop())
        if answer.outcome is not Outcome.ANSWERS:
            return None
        found |= {layer["digest"]: layer.get("size", 0) for layer in answer.data.get("layers", ())}
        waiting += [dataclasses.replace(reference, digest=row["digest"]) for row in answer.data.get("manifests", ())]
        asked += 1
        if asked + len(waiting) > IMAGES:
            raise EnvironmentUnfit(
                f"the image has more than {IMAGES} manifests",
                where=str(reference),
                remedy="name one of its images by digest",
            )
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
