"""What an image inherits from its base: the user that it ends as, NVIDIA's requirement, the Python of its environment.

And what no image that a build starts from may bring along: steps of its own.

Nothing of the base is run for it: its configuration is read, and the engine is asked whether files are there, in a
container that is made and never started.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bake.engine.facts import folders_in, image_facts
from bake.errors import UsageError
from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from generator.job import Inherited
from generator.recipe.stacks import pythons_of, shipped_stacks

if TYPE_CHECKING:
    from bake.buildx.builder_facts import BuilderFacts
    from bake.doctor import Engine
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts

REQUIREMENT = "NVIDIA_REQUIRE_CUDA"
_MINORS = range(6, 20)
_MOMENT = re.compile(r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?P<zone>Z|[+-]\d\d:\d\d)")


def inherited(base: str, builder: BuilderFacts | None, facts: Facts, engine: Engine) -> Inherited:
    """Say what the configuration of the base hands on; raises as ``configuration`` does."""
    found = configuration(base, builder, facts, engine)
    return Inherited() if found is None else _inherited(found)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The configuration of an image, as far as it counts here: fields as in ``ImageFacts``."""

    user: str
    environment: tuple[str, ...]
    created: str


def configuration(image: str, builder: BuilderFacts | None, facts: Facts, engine: Engine) -> Configuration | None:
    """Read the configuration of an image: the engine's that builds, or else the registry's; None: nobody tells.

    Raises:
        UsageError: the image brings steps of its own along, or its registry gives it without a plain configuration.
        EnvironmentUnfit: the engine stopped answering.
    """
    if builder is None or builder.own:
        found = image_facts(engine.client, image)
        if found is not None:
            _refuse(image, found.triggers)
            return Configuration(user=found.user, environment=found.environment, created=found.created)
    reference = parse_reference(image)
    platform = (builder.platform if builder else "") or facts.platform
    registry = Registry(reference.registry, ca_bundle=facts.ca_bundle, keyring=facts.keyring)
    whole = registry.image_config(reference, platform)
    if whole is None:
        if registry.manifest(reference).outcome is not Outcome.ANSWERS:
            return None
        raise UsageError(
            f"its registry gives no configuration of it for {platform}, or none that can be read in one way alone",
            where=image,
            remedy="push it again, as docker writes it: docker pull, docker tag, docker push",
        )
    # BuildKit is written in Go, whose JSON takes keys in any case.
    configs = [found for key, found in whole.items() if key.lower() == "config" and isinstance(found, dict)]
    _refuse(image, tuple(text for found in configs for key, text in found.items() if key.lower() == "onbuild" and text))
    config = whole["config"]
    return Configuration(
        user=str(config.get("User") or ""),
        environment=tuple(map(str, config.get("Env") or ())),
        created=str(whole.get("created") or ""),
    )


def _refuse(image: str, triggers: tuple[object, ...]) -> None:
    if triggers:
        raise UsageError(
            "it has ONBUILD instructions: steps of its own in every build that starts from it",
            where=image,
            remedy="make an image without them: docker create, docker export, docker import, or a Dockerfile without "
            "ONBUILD",
        )


def _inherited(found: Configuration) -> Inherited:
    name = found.user.partition(":")[0]
    requires = any(entry.startswith(f"{REQUIREMENT}=") and not entry.endswith("=") for entry in found.environment)
    return Inherited(
        known=True,
        user="" if name in ("", "0", "root") else found.user,
        requires=requires,
        created=_seconds(found.created),
    )


def _seconds(moment: str) -> str:
    """Give a time as RFC 3339 writes it in whole seconds since 1970; "" for none, or one from before."""
    match = _MOMENT.fullmatch(moment)
    if match is None:
        return ""
    zone = match["zone"].replace("Z", "+00:00")  # Python 3.10 reads no Z, and no fraction of nine digits
    try:
        seconds = datetime.fromisoformat(f"{match['second']}{zone}").timestamp()
    except ValueError:
        return ""
    return str(int(seconds)) if seconds >= 0 else ""


def require_python(recipe: Recipe, base: str, builder: BuilderFacts | None, engine: Engine) -> None:
    """Make sure, before anything is built, that the new stack has wheels for the environment's Python.

    Where the base isn't on the engine that builds, nobody knows yet; then the first step of the build says so.

    Raises:
        UsageError: it has none; which stacks have is said.
        EnvironmentUnfit: the engine stopped answering.
    """
    pythons = recipe.stack.python
    if pythons is None or not (builder is None or builder.own):
        return
    folders = {f"{recipe.base.prefix}/lib/python3.{minor}": minor for minor in _MINORS}
    found = [folders[folder] for folder in folders_in(engine.client, base, tuple(folders))]
    # Where there are several, as in /usr, the build's first step asks the interpreter.
    if found and not any(_serves(pythons, minor) for minor in found):
        has = " and ".join(f"3.{minor}" for minor in found)
        raise UsageError(
            f"{recipe.base.prefix} has Python {has}, and the new stack has wheels for Python {pythons} alone",
            where=base,
            remedy=_stack_for(found[-1]),
        )


def _serves(pythons: str, minor: int) -> bool:
    lowest, beyond = map(int, re.findall(r"3\.(\d+)", pythons))
    return lowest <= minor < beyond


def _stack_for(minor: int) -> str:
    """Name the shipped stacks that have wheels for a Python."""
    fit = [name for name in shipped_stacks() if (known := pythons_of(name)) and _serves(known, minor)]
    if fit:
        return f"take a stack that has: [stack] from = {' or '.join(repr(name) for name in fit)}".replace("'", '"')
    return "no stack that ships has any: write one of your own, or make the base's environment with a later Python"
