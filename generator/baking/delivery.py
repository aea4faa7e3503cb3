"""Where a verified image goes: a registry, this engine, a file. One small type each; a bake calls one of them.

The first bake makes and verifies the image, and exports it as far as that tells its digest or spares work later. Only
when every check passed, the delivery gives it its name.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from bake.buildx.results import joined
from bake.engine.facts import name_image, remove_name, remove_nameless
from bake.errors import EnvironmentUnfit
from bake.leftovers.images import part_of, remove_parts
from generator.baking.archive import config_digest_of
from generator.baking.digests import digest_in, held_to
from generator.baking.publish import publish
from generator.compression import FORM
from generator.job import run
from generator.plan.names import IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bake.buildx.driver import BakeOutcome
    from generator.baking.archive import Archive
    from generator.job import Job

# A BuildKit that is not the engine's own would keep the image in its cache, where nobody finds it: it is sent to the
# engine instead. Compressing what is unpacked on arrival costs time; the base's layers stay as they are.
_UNPACKED = "compression=uncompressed"
# No name and no store: the layers are made, and BuildKit tells the digests. Nothing else is left of it.
NOWHERE = "type=image,store=false"
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
    overrides: Mapping[str, str] = MappingProxyType({})
    unpacked: ClassVar[bool] = False

    @contextmanager
    def pending(self, job: Job) -> Iterator[Callable[[BakeOutcome], None]]:
        """Give what is to be told of the first bake; what that left of the image goes, whatever ends the work within.

        An error of any kind may: a step, a check, an interruption.
        """
        self.begin(job)
        made: list[BakeOutcome] = []
        try:
            yield made.append
        except BaseException:
            self.discard(job, made[-1] if made else None)
            raise

    def begin(self, job: Job) -> None:  # noqa: B027 - most leave nothing
        """Remove what a bake into this folder left on the engine that was killed."""

    def discard(self, job: Job, built: BakeOutcome | None) -> None:  # noqa: B027 - the same
        """Remove what the first bake left of the image; None: it did not come to an end."""

    @abstractmethod
    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Deliver the verified image."""


class Push(Delivery):
    """To a registry; not stored on the engine too, which would unpack every layer, the base's included."""

    targets = (IMAGE,)
    overrides = MappingProxyType({f"{IMAGE}.output": f"{NOWHERE},{FORM}", **_NAMELESS})

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

    def begin(self, job: Job) -> None:
        """Remove the names of earlier parts."""
        remove_parts(job.folder, context=job.preflight.context)

    def discard(self, job: Job, built: BakeOutcome | None) -> None:
        """Remove the nameless image; what can't be removed now `clean` does."""
        if built is not None and (digest := digest_in(built.metadata)):
            with suppress(EnvironmentUnfit):
                remove_nameless(digest, context=job.preflight.context)

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Give the image its names."""
        held_to(built, built).raise_for_failure()
        name_image(digest_in(built.metadata), job.facts.names, context=job.preflight.context)
        outcome = _named(dataclasses.replace(built, steps=(), started=built.completed), job)
        return Delivered(outcome=outcome, place="on this engine", data=_named_by_digest(job, outcome))


class Load(Delivery):
    """On the engine, from a builder that is not its own: sent under a name that nobody uses, and named then.

    It is sent by the bake that verifies it: what a second one sends could not be told from another image.
    """

    targets = (IMAGE,)

    name = ""

    def begin(self, job: Job) -> None:
        """Remove the names of earlier parts, and choose this one's."""
        remove_parts(job.folder)
        self.name = part_of(job.folder)
        self.overrides = MappingProxyType({f"{IMAGE}.output": f"type=docker,name={self.name},{_UNPACKED}", **_NAMELESS})

    def discard(self, job: Job, built: BakeOutcome | None) -> None:  # noqa: ARG002 - one shape for all
        """Remove the image; what can't be removed now `clean` does."""
        try:
            remove_name(self.name)
        except EnvironmentUnfit as error:
            job.reporter.warning(str(error))

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Give the image its names."""
        name_image(self.name, job.facts.names)
        self.discard(job, built)
        outcome = _named(dataclasses.replace(built, steps=(), started=built.completed), job)
        return Delivered(outcome=outcome, place="on this engine", data=_named_by_digest(job, outcome))


class Save(Delivery):
    """Into a file, which gets its name when all of it is written; not stored on the engine."""

    targets = (IMAGE,)

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.overrides = MappingProxyType({f"{IMAGE}.output": f"{NOWHERE},{archive.layers}", **_NAMELESS})

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Write the file."""

        def export(part: Path) -> BakeOutcome:
            overrides = {f"{IMAGE}.output": self.archive.exporter(part)}
            exported = run(job, (IMAGE,), overrides=overrides, writes=part.parent)
            return exported if exported.failure else held_to(built, exported, config=config_digest_of(part))

        outcome = self.archive.written(export)
        return Delivered(outcome=outcome, place=f"saved, there: {self.archive.use}", data=str(self.archive.path))


class PushAndSave(Push):
    """To a registry, and then into a file too."""

    def __init__(self, archive: Archive) -> None:
        self.file = Save(archive)

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        """Push the image, and write the file once its tags have moved."""
        pushed = super().deliver(job, built)
        if pushed.outcome.failure is not None:
            return pushed
        saved = self.file.deliver(job, built)
        both = dataclasses.replace(joined(pushed.outcome, saved.outcome), metadata=pushed.outcome.metadata)
        return Delivered(
            outcome=both,
            place=f"{pushed.place}, and {saved.place}",
            data=f"{pushed.data}\n{saved.data}",
            record=pushed.record,
        )


def destination_of(*, push: bool, archive: Archive | None) -> Destination:
    """Tell where the image is to go."""
    if push:
        return Destination.REGISTRY
    return Destination.ENGINE if archive is None else Destination.FILE


def delivery_to(destination: Destination, *, own_builder: bool, archive: Archive | None = None) -> Delivery:
    """Choose how to deliver.

    Args:
        own_builder: whether the engine's own BuildKit builds. archive: for a file; beside a registry too.
    """
    if destination is Destination.REGISTRY:
        return Push() if archive is None else PushAndSave(archive)
    if archive is not None:
        return Save(archive)
    return Store() if own_builder else Load()


def _named(outcome: BakeOutcome, job: Job) -> BakeOutcome:
    """The outcome with the names that the image has got."""
    image = {**outcome.metadata[IMAGE], "image.name": ",".join(job.facts.names)}
    return dataclasses.replace(outcome, metadata={**outcome.metadata, IMAGE: image})


def _named_by_digest(job: Job, outcome: BakeOutcome) -> str:
    digest = digest_in(outcome.metadata)
    return f"{job.facts.image}@{digest}" if digest else job.facts.image
