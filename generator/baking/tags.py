"""Names an image in its repository: the tag of its content, and the tags that people use, which move last."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bake.errors import EnvironmentUnfit
from bake.reference import parse_reference
from bake.registry import failure_of
from bake.registry import troubles as trouble
from bake.registry.answer import Outcome
from bake.retry import retried

if TYPE_CHECKING:
    from collections.abc import Callable

    from bake.reference import Reference
    from bake.registry import Answer, Registry
    from bake.retry import Try
    from generator.resolve.facts import Facts

DIGITS = 12  # of the digest in the tag of the content
_TAG_LENGTH = 128


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What was pushed where: full names of the tags in the order in which they were written, and all tries.

    ``statements``: the types of what was signed and attached.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    tries: tuple[Try, ...]
    statements: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """What ``results.json`` keeps of it."""
        return {
            "repository": self.repository,
            "digest": self.digest,
            "tags": list(self.tags),
            **({"statements": list(self.statements)} if self.statements else {}),
            "tries": [
                {**dataclasses.asdict(entry), "at": round(entry.at, 3), "seconds": round(entry.seconds, 3)}
                for entry in self.tries
            ],
        }


def content_tag(tag: str, digest: str) -> str:
    """Give the tag that always means this content: ``25.1.0-rtx5090-3f2a…``."""
    short = digest.partition(":")[2][:DIGITS]
    return f"{tag[: _TAG_LENGTH - DIGITS - 1]}-{short}"


def repository_of(image: str) -> str:
    """Give the name of an image without its tag."""
    return image.rpartition(":")[0] if parse_reference(image).tag else image


def name(
    facts: Facts, registry: Registry, image: Reference, done: Publication, say: Callable[[str], None]
) -> tuple[EnvironmentUnfit | None, Publication]:
    """Move the tags that people use to the image, the first one last; gives what went wrong, and what was done.

    Args:
        image: by digest. say: told of each try but the first.
    """
    for tag in dict.fromkeys(name.rpartition(":")[2] for name in facts.names):
        failure, tries = move(facts, registry, image, tag, say)
        told = tries if failure or len(tries) > 1 else ()  # a tag that was written at once is no news
        done = dataclasses.replace(done, tries=(*done.tries, *told))
        if failure is not None:
            return failure, done
        done = dataclasses.replace(done, tags=(*done.tags, f"{done.repository}:{tag}"))
    return None, done


def move(
    facts: Facts, registry: Registry, image: Reference, tag: str, say: Callable[[str], None]
) -> tuple[EnvironmentUnfit | None, tuple[Try, ...]]:
    """Write one tag, unless it names the image already (a registry may forbid to write it twice)."""

    def once() -> Answer:
        there = registry.manifest(dataclasses.replace(image, digest=None, tag=tag))
        if there.outcome is Outcome.ANSWERS and there.headers.get("docker-content-digest") == image.digest:
            return there
        return registry.tag(image, tag)

    name = f"{image.registry}/{image.repository}:{tag}"
    answer, tries = retried(once, trouble.of_answer, facts.pushing, lambda text: say(f"tag {tag}: {text}"))
    if answer.outcome is Outcome.ANSWERS:
        return None, tries
    failure = failure_of(answer, registry.host, doing=name)
    told = EnvironmentUnfit(
        f"the image is pushed, and its tag {tag} could not be written: {failure.message}",
        where=f"{image.registry}/{image.repository}@{image.digest}",
        remedy=f"{failure.remedy}; the same command again sends only what is missing",
    )
    return told, tries
