"""Provenance: what an image was made from, as SLSA's predicate (https://slsa.dev/spec/v1.0/provenance). Pure.

What is in it can be found again from recipe, lock and options: ``verify --provenance`` does. No build arguments,
logins, mirrors or paths of a machine are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from generator.recipe.extensions import GitExtension, SdistExtension

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from generator.recipe import Recipe

BUILD_TYPE = "urn:image-uplift:bake:v1"
BUILDER = "urn:image-uplift:builder:v1"


@dataclass(frozen=True, kw_only=True)
class Input:
    """Something that an image is made from; ``digest`` is empty where nothing holds it to a content."""

    name: str
    uri: str
    digest: Mapping[str, str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Give it as a resource descriptor of in-toto."""
        return {"name": self.name, "uri": self.uri, **({"digest": dict(self.digest)} if self.digest else {})}


def hashed(text: str) -> str:
    """Give the SHA-256 of a text file."""
    return hashlib.sha256(text.encode()).hexdigest()


def parameters(recipe: Recipe, documents: Mapping[str, str]) -> dict[str, Any]:
    """Give what was asked for: recipe, lock and archs.

    Args:
        recipe: for the archs that were chosen. documents: SHA-256 of ``recipe`` and ``lock``.
    """
    named = {name: {"digest": {"sha256": digest}} for name, digest in sorted(documents.items())}
    return {**named, "name": recipe.name, "archs": list(recipe.stack.archs)}


def inputs_of(
    recipe: Recipe,
    *,
    base: str,
    fetcher: str,
    checksums: Mapping[str, str],
    files: Mapping[str, Mapping[str, str]],
) -> Iterator[Input]:
    """List what recipe and lock name.

    Args:
        base: the frozen image's name, with its digest where it is known. fetcher: in the same way, of the image that
            fetches. checksums: SHA-256 by address, of what the site's mirrors serve in place of the original. files:
            those that the lock names, by group, with their SHA-256.
    """
    for role, image in (("base", base), ("fetcher", fetcher)):
        name, _, digest = image.partition("@")
        yield Input(name=role, uri=name, digest=_digest(digest.partition(":")[2]))
    for asset, entry in recipe.assets.items():
        served = next((checksums[url] for url in (entry.url, *entry.alternatives) if url in checksums), entry.sha256)
        yield Input(name=f"asset {asset}", uri=entry.url, digest=_digest(served or ""))
    for package, extension in recipe.extensions.items():
        if isinstance(extension, SdistExtension):
            uri = f"pkg:pypi/{package}@{extension.version}"
            yield Input(name=f"source {package}", uri=uri, digest=_digest(extension.sha256))
        if isinstance(extension, GitExtension):
            yield Input(name=f"source {package}", uri=f"git+{extension.url}", digest={"gitCommit": extension.commit})
    for group, members in sorted(files.items()):
        for file, sha256 in sorted(members.items()):
            yield Input(name=f"{group} {file}", uri=f"pkg:generic/{file}", digest=_digest(sha256))


def predicate(
    asked: Mapping[str, Any], inputs: Iterable[Input], *, source: str, revision: str, version: str
) -> dict[str, Any]:
    """Write the predicate.

    Args:
        asked: as ``parameters`` gives it. inputs: all that went in. source, revision: of the recipe's repository; ""
            where they are not known. version: of this software.
    """
    found = [*inputs, *([Input(name="repository", uri=source, digest=_commit(revision))] if source else [])]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": asked,
            "resolvedDependencies": [entry.as_data() for entry in found],
        },
        "runDetails": {"builder": {"id": BUILDER, "version": {"image-uplift": version}}},
    }


def _digest(sha256: str) -> dict[str, str]:
    return {"sha256": sha256} if sha256 else {}


def _commit(revision: str) -> dict[str, str]:
    """Give a commit; one with changes that no commit has is none."""
    return {"gitCommit": revision} if revision and not revision.endswith("-dirty") else {}
