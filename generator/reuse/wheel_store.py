"""The wheel store: compiled wheels as small images in a registry, each tagged by its key.

What the store has is taken from there, by digest, in place of the target that would compile it; what it lacks is pushed
after the compile. A store that does not answer is a warning: the wheel is compiled, as without one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bake.errors import UpliftError
from generator.compression import FORM
from generator.plan import specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bake.registry import Registry
    from generator.plan import Graph
    from generator.plan.keys import Key

KEY_DIGITS = 32  # of the key's hash in a tag: 128 bits
LABEL = "io.image-uplift"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A compile target and where its wheel is: ``reference`` names it by digest, "" when no store has it."""

    target: str
    extension: str
    key: Key
    reference: str = ""

    @property
    def tag(self) -> str:
        """The tag of its image in any store."""
        return f"{self.extension}-{self.key.digest[:KEY_DIGITS]}"


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What the stores have of the wheels of one bake; ``warnings`` are for the user."""

    wheels: tuple[Wheel, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Wheel, ...]:
        """Those that no store has."""
        return tuple(wheel for wheel in self.wheels if not wheel.reference)

    def variables(self) -> dict[str, str]:
        """Bake variables that put images in the place of compile targets."""
        return {specs.wheel_variable(wheel.extension): wheel.reference for wheel in self.wheels if wheel.reference}


def wheels_of(graph: Graph, keys: Mapping[str, Key]) -> tuple[Wheel, ...]:
    """List the compile targets of a graph with their keys."""
    return tuple(
        Wheel(target=target.name, extension=str(target.values["package"]), key=keys[target.name])
        for target in graph.targets
        if target.stand_in
    )


def look_up(wheels: Iterable[Wheel], stores: Iterable[str], registry_of: Callable[[str], Registry]) -> Shelf:
    """Ask the stores, in their order, for each wheel; all wheels at the same time.

    Args:
        stores: repositories. registry_of: gives the registry of a repository, with its credentials and CA.
    """
    from concurrent.futures import ThreadPoolExecutor

    wheels = tuple(wheels)
    found: dict[str, str] = {}
    warnings: list[str] = []
    for repository in filter(None, stores):
        wanted = [wheel for wheel in wheels if wheel.target not in found]
        if not wanted:
            break
        with ThreadPoolExecutor(max_workers=min(8, len(wanted))) as pool:
            answers = list(pool.map(partial(_ask, registry_of(repository), repository), wanted))
        found |= {
            wheel.target: f"{repository}:{wheel.tag}@{digest}"
            for wheel, (digest, _) in zip(wanted, answers, strict=True)
            if digest
        }
        said = dict.fromkeys(reason for _, reason in answers if reason)
        warnings += [f"the wheel store {repository} {reason}" for reason in said]
    return Shelf(
        wheels=tuple(
            Wheel(target=wheel.target, extension=wheel.extension, key=wheel.key, reference=found.get(wheel.target, ""))
            for wheel in wheels
        ),
        warnings=tuple(warnings),
    )


def _ask(registry: Registry, repository: str, wheel: Wheel) -> tuple[str, str]:
    """Ask for one wheel: its digest, "" when it is not there, and what to warn of."""
    from bake.reference import parse_reference
    from bake.registry import Outcome

    try:
        answer = registry.manifest(parse_reference(f"{repository}:{wheel.tag}"))
    except UpliftError as failure:
        return "", failure.message
    if answer.outcome is Outcome.ANSWERS:
        return answer.headers.get("docker-content-digest", ""), ""
    if answer.outcome is Outcome.ABSENT:
        return "", ""
    return "", f"can't be asked ({answer.detail or answer.outcome.value}); wheels are compiled here if need be"


def push_overrides(wheels: Iterable[Wheel], repository: str) -> dict[str, str]:
    """Give the ``--set`` values that push wheels to a store, each under its key, with the key's inputs as a label."""
    overrides: dict[str, str] = {}
    for wheel in wheels:
        output = f"type=image,name={repository}:{wheel.tag},push=true,store=false,{FORM}"
        overrides[f"{wheel.target}.output"] = output
        overrides[f"{wheel.target}.labels.{LABEL}.key"] = wheel.key.digest
        overrides[f"{wheel.target}.labels.{LABEL}.inputs"] = json.dumps(wheel.key.inputs, sort_keys=True)
    return overrides
