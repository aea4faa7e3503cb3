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
from bake.progress.facts import Fact
from bake.registry import Registry
from generator.job import Reuse, Wheel, WheelLookup
from generator.plan.keys import Key
from generator.reuse.cache_summary import as_data, compiler_cpu, show_proof
from generator.reuse.steps import made
from generator.reuse.store import WHEEL as WHEELS
from generator.reuse.store import RegistryStore
from generator.trust import Identity, Trust
from tests.unit.bake.registry.test_client import served

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


def told(kind: str, says: str, **values: object) -> Fact:
    return Fact(kind=kind, says=says, values=values)


FACTS = (
    ("wheel-x", told("budget", "2 compilers at a time: 2 cores", cores=2)),
    ("wheel-x", told("compiler-cache", "1 of 3 compiler calls from the compiler cache", hits=1, calls=3)),
    ("wheel-x", told("measured", "2 files in 120 CPU seconds", cpu_seconds=120)),
    ("wheel-y", told("budget", "1 compiler at a time: free memory 3.1 GiB", cores=4)),
    ("wheel-y", told("measured", "1 files in 30 CPU seconds", cpu_seconds=30)),
)


def test_the_cpu_seconds_of_all_compilers_are_summed_up():
    assert compiler_cpu(FACTS) == {"seconds": 150.0, "cores": 4}
    assert compiler_cpu([]) == {}


def test_numbers_that_are_none_fail_no_record():
    strange = (("wheel-x", told("budget", "", cores="many")), ("wheel-x", told("compiler-cache", "", hits=None)))
    one = dataclasses.replace(outcome([State.DONE]), facts=strange)
    assert as_data(one, Reuse(lookup=WheelLookup(wheels=(WHEEL,))))["cpu"] == {}


def test_the_record_of_a_bake_has_the_choice_beside_the_hits():
    one = dataclasses.replace(outcome([State.DONE]), facts=FACTS)
    data = as_data(one, Reuse(lookup=WheelLookup(wheels=(WHEEL,))))["wheels"]["wheel-x"]
    assert data["compiler_cache"] == {"hits": 1, "calls": 3}
    assert data["compilers"] == {"budget": "2 compilers at a time: 2 cores", "measured": "2 files in 120 CPU seconds"}


def test_what_comes_in_is_told_with_the_line_that_pins_it():
    said: list[str] = []
    facts = (told("arrival", "comes in: iopath==0.1.9 (for x)"), told("budget", "2 compilers at a time", cores=2))
    one = dataclasses.replace(outcome([State.DONE]), facts=tuple(("requirements", fact) for fact in facts))
    reporter: Any = SimpleNamespace(note=said.append)
    show_proof(reporter, one, WheelLookup(), ())
    assert said[1:] == ["  requirements: comes in: iopath==0.1.9 (for x)"]


ANYBODY = Trust(identities=(Identity(issuer="https://ci.example", identity="lab"),))


@pytest.mark.parametrize("trust", [Trust(), ANYBODY], ids=["no trust", "trust"])
def test_a_store_that_names_no_digest_for_an_image_is_trouble_and_no_failure(trust):
    with served(digest="sha256:1,push=true") as host:
        store = RegistryStore(
            repository=f"{host}/wheels", registry=Registry(host), kind=WHEELS, trust=trust, signer=None
        )
        found = store.look_up("x-1")
    assert (found.reference, found.refused) == ("", "")
    assert "what it names as the digest is none" in found.trouble
