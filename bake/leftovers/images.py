"""Images on the engine: those that bakes made, and those that a recipe names."""

from __future__ import annotations

import hashlib
import platform
import uuid
from typing import TYPE_CHECKING, Any

from bake.engine.facts import connect, remove_name
from bake.errors import EnvironmentUnfit
from bake.leftovers.leftover import Kind, Leftover

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

LABEL = "io.image-uplift.recipe"
# What a bake names an image's first layers by, until the image has its own name; generator.baking.early_export.
PART = "image-uplift-part"
_OWNER = 12  # hexadecimal digits that tell a build folder
KEPT = "a result that has a name; --images removes it"


def part_of(folder: Path) -> str:
    """Give a name that is nobody's yet for a part of the bake in a build folder."""
    return f"{_prefix(folder)}{uuid.uuid4().hex[:12]}"


def remove_parts(folder: Path, *, context: str | None = None) -> None:
    """Remove the parts of earlier bakes in a build folder, which were killed: hold the folder meanwhile.

    Args:
        context: the docker context of the engine; None: the current one.

    Raises:
        EnvironmentUnfit: no engine answers.
    """
    client = connect(context)
    try:
        names = [tag for image in client.api.images(name=PART) for tag in image.get("RepoTags") or ()]
    finally:
        client.close()
    for name in names:
        if name.startswith(_prefix(folder)):
            remove_name(name, context=context)


def _prefix(folder: Path) -> str:
    place = f"{platform.node()}:{folder.resolve()}"
    return f"{PART}:{hashlib.sha256(place.encode()).hexdigest()[:_OWNER]}-"


def find_images(
    client: docker.DockerClient, recipe: str, *, named: tuple[str, ...], results: bool
) -> Iterator[Leftover]:
    """List the images that bakes of a recipe left, and those named in it.

    Args:
        recipe: its name. named: images that the recipe lists. results: named results go as well.

    """
    everything = _all(client)
    for image in everything:
        tags = [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]
        if (image.get("Labels") or {}).get(LABEL) == recipe and _made_here(client, image["Id"]):
            kept = KEPT if tags and not results else ""
            names, why = tags or [image["Id"]], "made by a bake" if tags else "replaced by a later bake"
        elif names := [tag for tag in tags if tag in named]:
            kept, why = "", "the recipe lists it"
        elif names := [tag for tag in tags if tag.startswith(f"{PART}:")]:
            kept, why = "", "a part that an interrupted bake left"
        else:
            continue
        # A name less frees nothing while the image has another one.
        size = 0 if len(names) < len(tags) else _own_size(client, image["Id"], everything)
        yield _leftover(client, names, size=size, why=why, kept=kept)


def _all(client: docker.DockerClient) -> list[dict[str, Any]]:
    """List all images, those without a name last."""
    return sorted(client.api.images(), key=lambda image: (image.get("RepoTags") or ["~"], image["Id"]))


def _made_here(client: docker.DockerClient, image: str) -> bool:
    """Tell a bake's own image from one that was built upon it, and so has its labels too.

    The label is the last instruction of the image target: in an image built upon it, others come after it.
    """
    history = _history(client, image)
    created = str(history[0].get("CreatedBy", "")) if history else ""
    return created.startswith("LABEL ") and LABEL in created


def _history(client: docker.DockerClient, image: str) -> list[dict[str, Any]]:
    """List the instructions that made an image, newest first; none when it is gone meanwhile."""
    from docker.errors import APIError

    try:
        found: list[dict[str, Any]] = client.api.history(image)
    except APIError:
        return []
    return found


def _layers(client: docker.DockerClient, image: str) -> tuple[str, ...]:
    from docker.errors import APIError

    try:
        root = client.api.inspect_image(image).get("RootFS") or {}
    except APIError:
        return ()
    return tuple(root.get("Layers") or ())


def _own_size(client: docker.DockerClient, image: str, everything: list[dict[str, Any]]) -> int:
    """Bytes of the layers that no other image has.

    The engine's own disk usage would tell it too, and fails while a build is at work.
    """
    layers = _layers(client, image)
    others = {layer for other in everything if other["Id"] != image for layer in _layers(client, other["Id"])}
    sizes = [int(step.get("Size", 0)) for step in reversed(_history(client, image))]
    sizes = [size for size in sizes if size]  # an instruction without a layer has no size
    if len(sizes) != len(layers):
        return 0
    return sum(size for layer, size in zip(layers, sizes, strict=True) if layer not in others)


def _leftover(client: docker.DockerClient, names: list[str], *, size: int, why: str, kept: str) -> Leftover:
    def remove() -> int:
        from docker.errors import APIError, ImageNotFound

        for name in names:
            try:
                # noprune: parents without a name may be somebody else's.
                client.images.remove(name, noprune=True)
            except ImageNotFound:
                continue
            except APIError as error:
                raise EnvironmentUnfit(
                    f"the engine keeps it: {error.explanation or error}",
                    where=name,
                    remedy="remove the containers that use it (`docker ps -a`), then run this again",
                ) from None
        return size

    shown = ", ".join(name.removeprefix("sha256:")[:12] if name.startswith("sha256:") else name for name in names)
    return Leftover(kind=Kind.IMAGE, name=shown, size=size, why=why, kept=kept, remove=remove)
