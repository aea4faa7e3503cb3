"""Which wheels a bake made, by what BuildKit told of their steps, and what their compiles said of themselves."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.errors import BuildFailed
from bake.progress.events import State, Step, StepKind
from generator.job import Reuse, Wheel, WheelLookup
from generator.plan.keys import Key
from generator.reuse.cache_summary import as_data, compiler_budget, compiler_cpu, show_proof
from generator.reuse.steps import made

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


NOTES = (
    ("wheel-x", "compile.py: budget: 2 compilers at a time: 2 cores; free memory 21.0 GiB holds 7, 3.0 GiB each"),
    ("wheel-x", "compile.py: compiler cache: 1 of 3 calls hit"),
    ("wheel-x", "compile.py: measured: 2 files in 120 CPU seconds, at most 2 compilers at once, the largest 1.5 GiB"),
    ("wheel-y", "compile.py: budget: 1 compiler at a time: free memory 3.1 GiB, 3.0 GiB each; 4 cores"),
    ("wheel-y", "compile.py: measured: 1 files in 30 CPU seconds, at most 1 compilers at once, the largest 1.5 GiB"),
)


def test_what_a_compile_chose_and_measured_is_recorded():
    budgets = compiler_budget(NOTES)
    assert budgets["wheel-x"]["budget"].startswith("2 compilers at a time")
    assert budgets["wheel-y"]["measured"].startswith("1 files in 30 CPU seconds")
    assert compiler_cpu(budgets) == {"seconds": 150.0, "cores": 4}
    assert compiler_cpu({}) == {}


def test_the_record_of_a_bake_has_the_choice_beside_the_hits():
    one = dataclasses.replace(outcome([State.DONE]), notes=NOTES)
    data = as_data(one, Reuse(lookup=WheelLookup(wheels=(WHEEL,))))["wheels"]["wheel-x"]
    assert data["compiler_cache"] == {"hits": 1, "calls": 3}
    assert sorted(data["compilers"]) == ["budget", "measured"]


def test_what_comes_in_is_told_with_the_line_that_pins_it():
    said: list[str] = []
    lines = ("arrivals.py: comes in: iopath==0.1.9 (for x)", "download.py: x.tar.gz from https://e.org/")
    one = dataclasses.replace(outcome([State.DONE]), notes=tuple(("requirements", line) for line in lines))
    reporter: Any = SimpleNamespace(note=said.append)
    show_proof(reporter, one, WheelLookup(), ())
    assert said[1:] == ["  requirements: comes in: iopath==0.1.9 (for x)"]
