"""Where small images are kept for other builders: compiled wheels and compiler caches, each by a name.

A store that does not answer is no failure: what it would have given is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bake.errors import Interrupted, UpliftError
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from bake.registry.answer import digest_of
from bake.registry.referrers import attach
from generator.compression import FORM
from generator.trust.attached import find, signed
from generator.trust.statement import SIGNATURE, statement

if TYPE_CHECKING:
    from generator.resolve.facts import Facts
    from generator.trust import Signer, Trust

WHEEL, CACHE, IMAGES = "wheel", "compiler-cache", "verified-image"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a store says of a name: ``reference`` names the image by digest, "" when it is not there.

    ``trouble`` says why the store could not be asked, ``refused`` why what it has is not taken; "" where neither is so.
    """

    reference: str = ""
    trouble: str = ""
    refused: str = ""

    @property
    def absent(self) -> bool:
        """Whether the store answered that it has no such image, or none that is taken."""
        return not self.reference and not self.trouble


class Store(Protocol):
    """A backend: where images are looked up by name, and what makes buildx put one there."""

    def look_up(self, name: str) -> Found:
        """Ask for an image; raises nothing but ``Interrupted``."""

    def output(self, name: str) -> str:
        """Give the value of buildx' ``output`` that puts a target's result there."""

    def sign(self, name: str, digest: str) -> str:
        """Sign what was put there as this name; gives what went wrong, "" where nothing did."""


@dataclass(frozen=True, kw_only=True)
class RegistryStore:
    """A repository of a registry; names are tags.

    Args:
        kind: what it holds: a signature holds good for one kind and name. trust: whose signatures count; false: nobody
            is asked for one. signer: signs what is put there.
    """

    repository: str
    registry: Registry
    kind: str
    trust: Trust
    signer: Signer | None

    def look_up(self, name: str) -> Found:
        """Ask for the tag's manifest."""
        tagged = f"{self.repository}:{name}"
        try:
            answer = self.registry.manifest(parse_reference(tagged))
        except Interrupted:
            raise
        except UpliftError as failure:
            return Found(trouble=failure.message)
        digest = answer.headers.get("docker-content-digest") or digest_of(answer.body)  # the header is optional
        if answer.outcome is Outcome.ANSWERS:
            refused = self._refused(name, digest) if self.trust else ""
            return Found(refused=refused) if refused else Found(reference=f"{tagged}@{digest}")
        if answer.outcome is Outcome.ABSENT:
            return Found()
        return Found(trouble=f"can't be asked ({answer.detail or answer.outcome.value})")

    def output(self, name: str) -> str:
        """Push to the tag, without a copy on the engine."""
        return f"type=image,name={self.repository}:{name},push=true,store=false,{FORM}"

    def sign(self, name: str, digest: str) -> str:
        """Attach a signature to the image of this digest, as this name; gives what went wrong."""
        if self.signer is None:
            return "nothing signs it (--sign-key), so it is not taken where [trust] counts" if self.trust else ""
        text = statement(digest, f"{self.kind}/{name}", SIGNATURE)
        try:
            image = parse_reference(f"{self.repository}@{digest}")
            artifacts = signed(self.registry, image, {SIGNATURE: text}, self.signer, self.trust)
        except Interrupted:
            raise
        except UpliftError as failure:
            return failure.message
        answer = attach(self.registry, image, artifacts)
        return "" if answer.outcome is Outcome.ANSWERS else answer.detail or answer.outcome.value

    def _refused(self, name: str, digest: str) -> str:
        try:
            image = parse_reference(f"{self.repository}@{digest}")
            found = find(self.registry, image, self.trust, name=f"{self.kind}/{name}", kind=SIGNATURE)
        except Interrupted:
            raise
        except UpliftError as failure:
            return failure.message
        return "" if found.verified else found.why_none


def registry_of(repository: str, facts: Facts) -> Registry:
    """Give the registry of a repository, with its login and the place's CA."""
    return Registry(parse_reference(repository).registry, ca_bundle=facts.ca_bundle, keyring=facts.keyring)


def store_of(repository: str, facts: Facts, kind: str) -> Store | None:
    """Give the store that a repository is, of wheels or of compiler caches; None where there is none."""
    if not repository:
        return None
    registry = registry_of(repository, facts)
    return RegistryStore(repository=repository, registry=registry, kind=kind, trust=facts.trust, signer=facts.signer)
