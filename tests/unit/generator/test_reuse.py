"""Which wheels a bake made, by what BuildKit told of their steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from bake.driver import BakeOutcome, BakeRequest
from bake.events import State, Step, StepKind
from generator.errors import BuildFailed
from generator.plan.keys import Key
from generator.reuse import made
from generator.store import Wheel

WHEEL = Wheel(target="wheel-x", extension="x", key=Key(target="wheel-x", inputs={}))


def outcome(states: list[State], *, failed: bool = False, target: str = WHEEL.target) -> BakeOutcome:
    steps = tuple(
        Step(
            digest=str(number),
            name=str(number),
            target=target,
            owner=target,
            stage="compile",
            position=(number, len(states)),
            label="RUN make",
            kind=StepKind.INSTRUCTION,
            state=state,
        )
        for number, state in enumerate(states, 1)
    )
    return BakeOutcome(
        request=BakeRequest(file=Path("docker-bake.hcl"), targets=(WHEEL.target,)),
        state=State.FAILED if failed else State.DONE,
        started=0.0,
        completed=1.0,
        steps=steps,
        metadata={},
        failure=BuildFailed("it failed") if failed else None,
    )


@pytest.mark.parametrize(
    "states", [[State.DONE, State.DONE], [State.CACHED, State.WAITING], [State.RUNNING, State.CACHED]]
)
def test_a_bake_that_ended_well_made_its_wheels_whatever_was_told_of_each_step(states):
    assert made(outcome(states), (WHEEL,)) == (WHEEL,)


@pytest.mark.parametrize(
    "states", [[State.DONE, State.FAILED], [State.DONE, State.CANCELLED], [State.CACHED, State.WAITING]]
)
def test_a_bake_that_failed_made_the_wheels_whose_steps_all_ended_well(states):
    assert made(outcome(states, failed=True), (WHEEL,)) == ()
    assert made(outcome([State.CACHED, State.DONE], failed=True), (WHEEL,)) == (WHEEL,)


def test_a_wheel_of_which_nothing_was_heard_was_not_made():
    assert made(outcome([State.DONE], target="torch"), (WHEEL,)) == ()
    assert made(outcome([State.WAITING]), (WHEEL,)) == ()
