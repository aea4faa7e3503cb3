"""Whether what a registry gives as a manifest is one, within bounds (OCI image specification, manifest and index)."""

from __future__ import annotations

import contextlib
import json
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGES = 256  # of an index, and of all indexes below one; official images have some 10
LAYERS = 1024  # of an image; engines take 127


def fault_of(manifest: dict[str, Any]) -> str:
    """Say what is wrong with a manifest; "" where it can be worked with."""
    images, layers = manifest.get("manifests", []), manifest.get("layers", [])
    if not manifest.keys() & {"manifests", "layers", "config"}:
        return "it is no manifest of an image"
    if not _are_descriptors(images) or not _are_descriptors(layers) or not _is_descriptor(manifest.get("config") or {}):
        return "a descriptor in its manifest has no digest, or a size that is none"
    if not all(isinstance(item.get("platform") or {}, dict) for item in images):
        return "a platform in its index is none"
    if len(images) > IMAGES or len(layers) > LAYERS:
        return f"it lists {len(images)} images and {len(layers)} layers; {IMAGES} and {LAYERS} are the limit"
    return ""


def _are_descriptors(found: Any) -> bool:
    return isinstance(found, list) and all(_is_descriptor(item) and "digest" in item for item in found)


def _is_descriptor(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("digest", ""), str)
        and isinstance(count := found.get("size", 0), int)
        and count >= 0
    )


def has_twins(document: bytes) -> bool:
    """Tell whether an object of a JSON document has a key twice: who reads it in Go gets both, in Python the last."""
    twins = False

    def note(pairs: list[tuple[str, Any]]) -> None:
        nonlocal twins
        twins = twins or len(dict(pairs)) < len(pairs)

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(document, object_pairs_hook=note)
    return twins
