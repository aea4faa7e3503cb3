"""Where small images are kept for other builders: compiled wheels and compiler caches, each by a name.

A store that does not answer is no failure: what it would have given is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bake.errors import UpliftError
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from generator.compression import FORM

if TYPE_CHECKING:
    from generator.resolve.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a store says of a name: ``reference`` names the image by digest, "" when it is not there.

    ``trouble`` says why the store could not be asked; "" when it answered.
    """

    reference: str = ""
    trouble: str = ""

    @property
    def absent(self) -> bool:
        """Whether the store answered that it has no such image."""
        return not self.reference and not self.trouble


class Store(Protocol):
    """A backend: where images are looked up by name, and what makes buildx put one there."""

    def look_up(self, name: str) -> Found:
        """Ask for an image; never raises."""

    def output(self, name: str) -> str:
        """Give the value of buildx' ``output`` that puts a target's result there."""


@dataclass(frozen=True, kw_only=True)
class RegistryStore:
    """A repository of a registry; names are tags."""

    repository: str
    registry: Registry

    def look_up(self, name: str) -> Found:
        """Ask for the tag's manifest."""
        tagged = f"{self.repository}:{name}"
        try:
            answer = self.registry.manifest(parse_reference(tagged))
        except UpliftError as failure:
            return Found(trouble=failure.message)
        digest = answer.headers.get("docker-content-digest", "")
        if answer.outcome is Outcome.ANSWERS:
            return Found(reference=f"{tagged}@{digest}" if digest else "")
        if answer.outcome is Outcome.ABSENT:
            return Found()
        return Found(trouble=f"can't be asked ({answer.detail or answer.outcome.value})")

    def output(self, name: str) -> str:
        """Push to the tag, without a copy on the engine."""
        return f"type=image,name={self.repository}:{name},push=true,store=false,{FORM}"


def registry_of(repository: str, facts: Facts) -> Registry:
    """Give the registry of a repository, with its login and the place's CA."""
    return Registry(parse_reference(repository).registry, ca_bundle=facts.ca_bundle, keyring=facts.keyring)


def store_of(repository: str, facts: Facts) -> Store | None:
    """Give the store that a repository is; None where there is none."""
    return RegistryStore(repository=repository, registry=registry_of(repository, facts)) if repository else None
