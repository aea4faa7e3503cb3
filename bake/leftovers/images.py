"""Images on the engine: those that bakes made, and those that a recipe names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bake.leftovers.leftover import Kind, Leftover
from generator.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

LABEL = "io.image-uplift.recipe"
KEPT = "a result that has a name; --images removes it"


def find_images(
    client: docker.DockerClient, recipe: str, *, named: tuple[str, ...], results: bool
) -> Iterator[Leftover]:
    """List the images that bakes of a recipe left, and those named in it.

    Args:
        recipe: its name. named: images that the recipe lists. results: named results go as well.

    """
    for image in _all(client):
        tags = [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]
        if (image.get("Labels") or {}).get(LABEL) == recipe and _made_here(client, image["Id"]):
            kept = KEPT if tags and not results else ""
            why = "made by a bake" if tags else "replaced by a later bake"
            yield _leftover(client, image, tags or [image["Id"]], why=why, kept=kept)
        elif wanted := [tag for tag in tags if tag in named]:
            yield _leftover(client, image, wanted, why="the recipe lists it", kept="")


def _all(client: docker.DockerClient) -> list[dict[str, Any]]:
    """All images with the size that they share; only the engine's disk usage tells that."""
    found = client.df().get("Images") or []
    return sorted(found, key=lambda image: (image.get("RepoTags") or ["~"], image["Id"]))


def _made_here(client: docker.DockerClient, image: str) -> bool:
    """Tell a bake's own image from one that was built upon it, and so has its labels too.

    The label is the last instruction of the image target: in an image built upon it, others come after it.
    """
    from docker.errors import APIError

    try:
        history: list[dict[str, Any]] = client.api.history(image)
    except APIError:
        return False
    created = str(history[0].get("CreatedBy", "")) if history else ""
    return created.startswith("LABEL ") and LABEL in created


def _leftover(client: docker.DockerClient, image: dict[str, Any], names: list[str], *, why: str, kept: str) -> Leftover:
    own = max(0, int(image.get("Size", 0)) - max(0, int(image.get("SharedSize", 0))))
    stays = len(names) < len([tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"])
    size = 0 if stays else own

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
