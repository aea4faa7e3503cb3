"""What the steps of a bake say of its wheels: which were made, and which were compiled. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.errors import Interrupted
from bake.progress.events import State, Step, StepKind
from generator.plan.names import COMPILE_STAGE, TOOLCHAIN

if TYPE_CHECKING:
    from bake.buildx.driver import BakeOutcome
    from generator.job import Wheel


def compiles(step: Step) -> bool:
    """Tell whether a step compiles."""
    return step.kind is StepKind.INSTRUCTION and step.stage == COMPILE_STAGE


def is_for_compile(step: Step) -> bool:
    """Tell whether a step compiles, or makes what only a compile needs: that starts long before the compile does."""
    return compiles(step) or (step.kind is StepKind.INSTRUCTION and step.owner == TOOLCHAIN)


def made(outcome: BakeOutcome, wheels: tuple[Wheel, ...]) -> tuple[Wheel, ...]:
    """Those whose target is done, built now or cached.

    In a bake that failed that is one whose instructions all ended well. In one that ended well it is enough that
    one did: BuildKit may close the stream of a cached target before it told of each step.
    """
    enough = any if outcome.failure is None else all

    def is_done(wheel: Wheel) -> bool:
        own = [step for step in outcome.steps if step.target == wheel.target and step.kind is StepKind.INSTRUCTION]
        return bool(own) and enough(step.state in (State.DONE, State.CACHED) for step in own)

    return tuple(wheel for wheel in wheels if is_done(wheel))


def compiled(outcome: BakeOutcome) -> frozenset[str]:
    """Targets whose compile ran to its end in this bake."""
    return frozenset(step.target for step in outcome.steps if step.stage == COMPILE_STAGE and step.state is State.DONE)


def begun(outcome: BakeOutcome) -> frozenset[str]:
    """Targets whose compile had begun when the build was ended."""
    return frozenset(step.target for step in outcome.steps if compiles(step) and step.started is not None)


def raise_if_interrupted(outcome: BakeOutcome) -> None:
    """Pass on Ctrl-C; any other failure is the caller's to judge.

    Raises:
        Interrupted: it was.
    """
    if isinstance(outcome.failure, Interrupted):
        raise outcome.failure


def digest_of(outcome: BakeOutcome, target: str) -> str:
    """The digest of what a target's export made, as buildx tells it."""
    return str(outcome.metadata.get(target, {}).get("containerimage.digest", ""))


def first_line(outcome: BakeOutcome) -> str:
    """The first line of what went wrong."""
    return str(outcome.failure).splitlines()[0]
