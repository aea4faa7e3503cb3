"""Looks for the image that fetches inside of builds: on the engine, or where it can be pulled from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.buildx.builders import manifest_digest
from bake.doctor.finding import Engine, Finding, Subject, error, ok
from bake.engine.facts import image_facts
from bake.reference import parse_reference
from bake.registry import Outcome, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "fetcher"


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Look on the engine first, then in the image's registry; a builder elsewhere sees the registry alone."""
    name = subject.fetcher
    if name is None:
        return
    if engine.own_builder and image_facts(engine.client, name) is not None:
        yield ok(NAME, f"{name} is on the engine")
        return
    reference = parse_reference(name)
    answer = Registry(reference.registry, ca_bundle=subject.ca_bundle, keyring=subject.keyring).manifest(reference)
    if answer.outcome is Outcome.ANSWERS or manifest_digest(name):
        yield ok(NAME, f"{name} is not on the engine, and its registry has it: it will be pulled")
        return
    why = "does not have it" if answer.outcome is Outcome.ABSENT else f"cannot give it ({answer.detail})"
    yield error(
        NAME,
        f"the image that fetches inside of builds, {name}, is not at hand: {reference.registry} {why}",
        "name another with --fetcher, or fetcher in the site file: any that has Python 3.9 or later with venv, and apt",
    )
