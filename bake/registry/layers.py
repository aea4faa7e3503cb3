"""Sizes of an image's last layers: uncompressed from the engine, compressed from a registry."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit
from bake.registry.answer import Outcome

if TYPE_CHECKING:
    import docker

    from bake.reference import Reference
    from bake.registry.client import Registry

# What BuildKit's history says of an instruction that makes a layer; LABEL, ENV and their like make none.
_MAKES_LAYER = ("RUN ", "COPY ", "ADD ", "WORKDIR ")


def on_engine(client: docker.DockerClient, reference: str, count: int) -> tuple[int, ...] | None:
    """Give the bytes of the last layers as the engine stores them, oldest first; None: no such image, or fewer layers.

    Args:
        client: the engine. reference: the image. count: how many layers.

    Raises:
        EnvironmentUnfit: the engine could not look.
    """
    from docker.errors import APIError, ImageNotFound
    from requests import RequestException

    try:
        history = client.images.get(reference).history()
    except ImageNotFound:
        return None
    except (APIError, RequestException) as error:
        raise EnvironmentUnfit(f"the engine could not look at the image: {error}", where=reference) from None
    sizes = [int(entry["Size"]) for entry in history if str(entry["CreatedBy"]).startswith(_MAKES_LAYER)]
    return tuple(reversed(sizes[:count])) if len(sizes) >= count else None


def in_registry(registry: Registry, reference: Reference, count: int) -> tuple[int, ...] | None:
    """Give the bytes of the last layers as they are pulled, oldest first; None: no such image, or fewer layers.

    An index is followed to its first image for a platform.
    """
    answer = registry.manifest(reference)
    for item in answer.data.get("manifests", ()):
        if (item.get("platform") or {}).get("os") not in (None, "unknown"):
            answer = registry.manifest(dataclasses.replace(reference, digest=str(item["digest"])))
            break
    layers = answer.data.get("layers", ())
    if answer.outcome is not Outcome.ANSWERS or len(layers) < count:
        return None
    return tuple(layer.get("size", 0) for layer in layers[len(layers) - count :])
