"""Looks for the frozen base image: on the engine, or where it can be pulled from."""

from __future__ import annotations

import platform
from functools import partial
from typing import TYPE_CHECKING

from bake.buildx.builders import manifest_digest
from bake.doctor import engine_registry
from bake.doctor.finding import Engine, Finding, Say, Subject, error, ok, warning
from bake.engine.facts import connect, image_facts
from bake.errors import EnvironmentUnfit
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bake.credentials import Keyring

NAME = "base"
_SAME = {"x86_64": "amd64", "aarch64": "arm64"}


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Look on the engine first, then in the image's registry; a builder elsewhere sees the registry alone."""
    if subject.base is None:
        return
    if not engine.own_builder:
        yield _for_builder(subject, subject.base, engine)
        return
    reference = parse_reference(subject.base)
    facts = image_facts(engine.client, subject.base)
    if facts is not None:
        yield ok(
            NAME,
            f"{subject.base} is on the engine: {len(facts.layers)} layers, {size(facts.size)}, {facts.id[:19]}",
        )
        if facts.triggers:
            yield warning(  # a bake refuses it, as a mistake of the recipe's
                NAME,
                f"{subject.base} has ONBUILD instructions: steps of its own in every build; no bake starts from it",
                "make an image without them: docker create, docker export, docker import",
            )
        machine = engine.facts.architecture or platform.machine()
        if facts.architecture and facts.architecture != _SAME.get(machine, machine):
            yield warning(
                NAME,
                f"{subject.base} is for {facts.architecture}, the engine runs on {machine}",
                "build on a machine of that architecture: emulation makes compiles very slow",
            )
        return
    answer = Registry(reference.registry, ca_bundle=subject.ca_bundle, keyring=subject.keyring).manifest(reference)
    if answer.outcome is Outcome.ANSWERS:
        yield ok(
            NAME,
            f"{subject.base} is not on the engine yet, and its registry has it: it will be pulled",
            partial(_pull, subject.base, subject.keyring),
        )
        return
    pinned = image_facts(engine.client, subject.base.partition("@")[0]) if reference.digest else None
    if pinned is not None:
        yield error(
            NAME,
            f"the engine has {pinned.reference} with the digest {pinned.digest}, and {reference.digest} is locked",
            f"get the locked one, or run `lock` again if the new one is meant{_or(subject.base_remedy)}",
        )
        return
    why = "does not have it" if answer.outcome is Outcome.ABSENT else f"cannot give it ({answer.detail})"
    yield error(
        NAME,
        f"the base image {subject.base} is not on the engine, and {reference.registry} {why}",
        subject.base_remedy or f"docker pull {subject.base}, or mend its name in the recipe",
    )


def _for_builder(subject: Subject, base: str, engine: Engine) -> Finding:
    """Ask the registry: what only this machine's engine holds can't be had by another BuildKit."""
    facts, reference = engine.builder, parse_reference(base)
    answer = Registry(reference.registry, ca_bundle=subject.ca_bundle).manifest(reference)
    if answer.outcome is Outcome.ANSWERS or manifest_digest(base):
        return ok(NAME, f"{base} is in its registry, where the builder {facts.name} gets it")
    try:
        held = image_facts(engine.client, base) is not None
    except EnvironmentUnfit:  # no engine is needed for such a builder
        held = False
    if held:
        return error(
            NAME,
            f"only this engine holds the base image {base}; the builder {facts.name} ({facts.driver}) gets images "
            "from registries",
            f"docker tag {base} REGISTRY/NAME:TAG && docker push REGISTRY/NAME:TAG, then bake --base REGISTRY/NAME:TAG",
        )
    if answer.outcome is Outcome.LOGIN:
        return error(
            NAME, f"{reference.registry} asks for a login to give {base}", f"docker login {reference.registry}"
        )
    why = "does not have it" if answer.outcome is Outcome.ABSENT else f"cannot give it ({answer.detail})"
    remedy = subject.base_remedy or "mend its name in the recipe, or give another (--base)"
    return error(NAME, f"the builder {facts.name} can't get the base image {base}: {reference.registry} {why}", remedy)


def _or(remedy: str) -> str:
    return f"; {remedy}" if remedy else ""


def _pull(base: str, keyring: Keyring, say: Say) -> None:
    """Pull it through the engine, with its own login; a line for each layer that is there."""
    from docker.errors import APIError

    say(f"pulling {base}")
    client = connect()
    try:
        host = parse_reference(base).registry
        login = engine_registry.auth_of(keyring.login_for(host), host)
        for line in client.api.pull(base, stream=True, decode=True, auth_config=login or None):
            if "error" in line:
                raise EnvironmentUnfit(str(line["error"]), where=base, remedy=f"docker pull {base}")
            if line.get("status") in ("Pull complete", "Already exists"):
                say(f"  {line.get('id', '')}: {line['status']}")
    except APIError as failure:
        raise EnvironmentUnfit(str(failure.explanation), where=base, remedy=f"docker pull {base}") from None
    finally:
        client.close()
