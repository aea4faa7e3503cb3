"""Where a verified image goes: a registry, this engine, a file. One small type each; a bake calls one of them.

The first bake makes and verifies the image, and exports it as far as that tells its digest or spares work later. Only
when every check passed, the delivery gives it its name.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from bake.engine.facts import name_image, remove_nameless
from bake.errors import EnvironmentUnfit
from generator.baking.publish import digest_in, publish
from generator.compression import FORM
from generator.job import run
from generator.plan.names import IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bake.buildx.driver import BakeOutcome
    from generator.baking.archive import Archive
    from generator.job import Job

# A BuildKit that is not the engine's own would keep the image in its cache, where nobody finds it: it is sent to the
# engine instead. Compressing what is unpacked on arrival costs time; the base's layers stay as they are.
SENT = {f"{IMAGE}.output": "type=docker,compression=uncompressed"}
_NAMELESS = {f"{IMAGE}.tags": ""}


class Destination(Enum):
    """Where the image is to go, before it is known which builder makes it."""

    REGISTRY = "registry"
    ENGINE = "engine"
    FILE = "file"
    NOWHERE = "nowhere"


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """How a delivery went.

    Args:
        outcome: of the bake that delivered; it may have failed. place: where the image is now, for people.
        data: what goes to stdout. record: what ``results.json`` keeps of it.
    """

    outcome: BakeOutcome
    place: str
    data: str
    record: Mapping[str, Any] = field(default_factory=dict)


class Delivery(ABC):
    """One way to deliver the image.

    Attributes:
        targets, overrides: what the first bake makes besides verification, and its ``--set`` values.
        unpacked: whether the engine that builds unpacks the image's layers.
    """

    targets: ClassVar[tuple[str, ...]] = ()
    overrides: ClassVar[Mapping[str, str]] = {}
    unpacked: ClassVar[bool] = False

    def discard(self, job: Job, built: BakeOutcome) -> None:  # noqa: B027 - most leave nothing
        """Remove what the first bake left of an image that does not pass."""

    @abstractmethod
    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Deliver the verified image."""


class Push(Delivery):
    """To a registry; not stored on the engine too, which would unpack every layer, the base's included."""

    targets = (IMAGE,)
    # No name and no store: the layers are made, and BuildKit tells the digest. Nothing else is left of it.
    overrides = MappingProxyType({f"{IMAGE}.output": f"type=image,store=false,{FORM}", **_NAMELESS})

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Push the layers, then the tags."""
        outcome, publication = publish(job, built)
        tags = ", ".join(tag.rpartition(":")[2] for tag in publication.tags)
        return Delivered(
            outcome=outcome,
            place=f"pushed as {tags}",
            data=_named_by_digest(job, outcome),
            record={"published": publication.as_data()},
        )


class Store(Delivery):
    """On the engine, by its own BuildKit: stored without a name while it is verified, and named then."""

    targets = (IMAGE,)
    overrides = MappingProxyType(_NAMELESS)
    unpacked = True

    def discard(self, job: Job, built: BakeOutcome) -> None:
        """Remove the nameless image; what can't be removed now `clean` does."""
        if digest := digest_in(built.metadata):
            with suppress(EnvironmentUnfit):
                remove_nameless(digest, context=job.preflight.context)

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Give the image its names."""
        digest = digest_in(built.metadata)
        if not digest:  # buildx did not tell it: the image is exported again, by name
            outcome = run(job, (IMAGE,))
        else:
            names = job.facts.names
            name_image(digest, names, context=job.preflight.context)
            image = {**built.metadata[IMAGE], "image.name": ",".join(names)}
            metadata = {**built.metadata, IMAGE: image}
            outcome = dataclasses.replace(built, steps=(), started=built.completed, metadata=metadata)
        return Delivered(outcome=outcome, place="on this engine", data=_named_by_digest(job, outcome))


class Load(Delivery):
    """On the engine, from a builder that is not its own."""

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:  # noqa: ARG002 - one shape for all
        """Send the image to the engine."""
        outcome = run(job, (IMAGE,), overrides=SENT)
        return Delivered(outcome=outcome, place="on this engine", data=_named_by_digest(job, outcome))


@dataclass(frozen=True)
class Save(Delivery):
    """Into a file, which gets its name when all of it is written; not stored on the engine."""

    archive: Archive

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:  # noqa: ARG002 - one shape for all
        """Write the file."""

        def export(part: Path) -> BakeOutcome:
            overrides = {f"{IMAGE}.output": self.archive.exporter(part)}
            return run(job, (IMAGE,), overrides=overrides, writes=part.parent)

        outcome = self.archive.written(export)
        return Delivered(outcome=outcome, place=f"saved, there: {self.archive.use}", data=str(self.archive.path))


def destination_of(*, push: bool, archive: Archive | None) -> Destination:
    """Tell where the image is to go."""
    if push:
        return Destination.REGISTRY
    return Destination.ENGINE if archive is None else Destination.FILE


def delivery_to(destination: Destination, *, own_builder: bool, archive: Archive | None = None) -> Delivery:
    """Choose how to deliver.

    Args:
        own_builder: whether the engine's own BuildKit builds. archive: for a file.
    """
    if destination is Destination.REGISTRY:
        return Push()
    if archive is not None:
        return Save(archive)
    return Store() if own_builder else Load()


def _named_by_digest(job: Job, outcome: BakeOutcome) -> str:
    digest = digest_in(outcome.metadata)
    return f"{job.facts.image}@{digest}" if digest else job.facts.image
