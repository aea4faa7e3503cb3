"""Sizes of an image's last layers: uncompressed from the engine, compressed from a registry."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import docker

    from bake.reference import Reference
    from bake.registry import Registry

# What BuildKit's history says of an instruction that makes a layer; LABEL, ENV and their like make none.
_MAKES_LAYER = ("RUN ", "COPY ", "ADD ", "WORKDIR ")


def on_engine(client: docker.DockerClient, reference: str, count: int) -> tuple[int, ...] | None:
    """Give the bytes of the last layers as the engine stores them, oldest first; None: no such image, or fewer layers.

    Args:
        client: the engine. reference: the image. count: how many layers.

    Raises:
        docker.errors.APIError: the engine could not look.
    """
    from docker.errors import ImageNotFound

    try:
        history = client.images.get(reference).history()
    except ImageNotFound:
        return None
    sizes = [int(entry["Size"]) for entry in history if str(entry["CreatedBy"]).startswith(_MAKES_LAYER)]
    return tuple(reversed(sizes[:count])) if len(sizes) >= count else None


def in_registry(registry: Registry, reference: Reference, count: int) -> tuple[int, ...] | None:
    """Give the bytes of the last layers as they are pulled, oldest first; None: no such image, or fewer layers.

    An index is followed to its first image for a platform.
    """
    from bake.registry import Outcome

    answer = registry.manifest(reference)
    for item in answer.data.get("manifests", ()):
        if item.get("platform", {}).get("os") not in (None, "unknown"):
            answer = registry.manifest(dataclasses.replace(reference, digest=str(item["digest"])))
            break
    layers = answer.data.get("layers", ())
    if answer.outcome is not Outcome.ANSWERS or len(layers) < count:
        return None
    return tuple(int(layer["size"]) for layer in layers[len(layers) - count :])
