"""Looks for the frozen base image: on the engine, or where it can be pulled from."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, error, ok, warning
from bake.engine import image_facts
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "base"
_SAME = {"x86_64": "amd64", "aarch64": "arm64"}


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Look on the engine first, then in the image's registry."""
    if subject.base is None:
        return
    reference = parse_reference(subject.base)
    facts = image_facts(engine.client, subject.base)
    if facts is not None:
        yield ok(
            NAME,
            f"{subject.base} is on the engine: {len(facts.layers)} layers, {size(facts.size)}, {facts.id[:19]}",
        )
        machine = engine.facts.architecture or platform.machine()
        if facts.architecture and facts.architecture != _SAME.get(machine, machine):
            yield warning(
                NAME,
                f"{subject.base} is for {facts.architecture}, the engine runs on {machine}",
                "build on a machine of that architecture: emulation makes compiles very slow",
            )
        return
    answer = Registry(reference.registry, ca_bundle=subject.ca_bundle).manifest(reference)
    if answer.outcome is Outcome.ANSWERS:
        yield ok(NAME, f"{subject.base} is not on the engine yet, and its registry has it: it will be pulled")
        return
    why = "does not have it" if answer.outcome is Outcome.ABSENT else f"cannot give it ({answer.detail})"
    yield error(
        NAME,
        f"the base image {subject.base} is not on the engine, and {reference.registry} {why}",
        subject.base_remedy or f"docker pull {subject.base}, or mend its name in the recipe",
    )
