"""Signed statements of an image in a registry: made, and found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bake.registry import Answer, failure_of
from bake.registry.referrers import Artifact, attached
from generator.trust import bundle
from generator.trust.check import Mistrusted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bake.reference import Reference
    from bake.registry import Registry
    from generator.trust.check import Trust, Verified
    from generator.trust.signer import Signer


@dataclass(frozen=True, kw_only=True)
class Found:
    """Statements of an image that somebody trusted signed, and why others do not count."""

    verified: tuple[Verified, ...]
    refused: tuple[str, ...]

    @property
    def why_none(self) -> str:
        """Why no statement counts."""
        return self.refused[0] if self.refused else "not signed"


def find(registry: Registry, image: Reference, trust: Trust, *, name: str | None = None, kind: str = "") -> Found:
    """Look for statements of an image.

    Args:
        image: by digest. name: what it has to be for; None: anything. kind: type of predicate; "": all.

    Raises:
        EnvironmentUnfit: the registry does not list them.
    """
    artifacts = attached(registry, image, bundle.KIND, {bundle.PREDICATE_TYPE: kind} if kind else {})
    if isinstance(artifacts, Answer):
        raise failure_of(artifacts, registry.host, doing=f"the signatures of {image}")
    verified, refused = [], []
    for artifact in artifacts:
        try:
            found = trust.check(artifact.content, digest=str(image.digest), name=name)
        except Mistrusted as why:
            refused.append(str(why))
        else:
            if kind in ("", found.predicate_type):
                verified.append(found)
    return Found(verified=tuple(verified), refused=tuple(dict.fromkeys(refused)))


def signed(
    registry: Registry, image: Reference, statements: Mapping[str, bytes], signer: Signer, trust: Trust
) -> tuple[Artifact, ...]:
    """Sign statements of an image, but for those that the registry has and this signer has signed.

    Args:
        image: by digest. statements: by type of predicate. trust: stands for a signer that can't tell its own.

    Raises:
        EnvironmentUnfit: the registry does not list what it has, or a service does not sign.
    """
    own = signer.own or trust
    there = {entry.payload for entry in find(registry, image, own).verified} if own else set()
    return tuple(
        Artifact(kind=bundle.KIND, content=signer.sign(text), annotations=bundle.described(predicate_type))
        for predicate_type, text in statements.items()
        if text not in there
    )
