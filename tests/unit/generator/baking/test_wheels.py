"""Wheels, compiler caches and registry caches of a bake: what is loaded, compiled and kept for others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx.driver import BakeRequest
from bake.errors import BuildFailed, DeadlineReached, EnvironmentUnfit, Interrupted, UpliftError
from bake.failure.explain import FailedStep
from bake.progress.events import State, StepKind
from generator.baking import build
from generator.baking.delivery import Store
from generator.job import Job, Wheel
from generator.plan import build_graph
from generator.resolve.caches import Caches
from generator.reuse import compiler_cache, registry_cache
from generator.reuse.store import Found
from tests.unit.generator.baking.conftest import DIGEST, WHEEL, Driver, outcome, step

MakeJob = Callable[..., Job]


class Wheels:
    """A store of wheels and compiler caches that has some names."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def look_up(self, name: str) -> Found:
        return Found(reference=f"lab/store:{name}@{DIGEST}" if name in self.names else "")

    def output(self, name: str) -> str:
        return f"to {name}"

    def sign(self, _name: str, _digest: str) -> str:
        return ""


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(store: Wheels) -> None:
        for module in ("wheel_store", "compiler_cache"):
            monkeypatch.setattr(
                f"generator.reuse.{module}.store_of", lambda name, _facts, _kind: store if name else None
            )

    return use


KEPT = Caches(wheels="lab/wheels", compiler_cache="lab/ccache")


def test_what_was_compiled_is_kept_for_others(make_job: MakeJob, driver: Driver, stores: Callable[..., None]) -> None:
    job = make_job(caches=KEPT)
    name = compiler_cache.tag(job, WHEEL)
    stores(Wheels(name))
    driver.steps = (step(WHEEL.target),)
    build.bake_targets(job, ("verify",))
    loaded, baked, pushed, saved = driver.requests
    assert (loaded.targets, loaded.overrides["compiler-cache.target"]) == (("compiler-cache",), "load-torch-scatter")
    assert loaded.variables["COMPILER_CACHE_TORCH_SCATTER"] == f"docker-image://lab/store:{name}@{DIGEST}"
    assert baked.targets == ("verify",)
    assert "*.cache-to" not in baked.overrides
    assert pushed.overrides["wheel-torch-scatter.output"] == f"to {WHEEL.tag}"
    assert pushed.overrides["*.cache-to"] == ""
    assert pushed.refuse is not None
    assert pushed.refuse(step(WHEEL.target))
    assert (saved.overrides["compiler-cache.target"], saved.overrides["compiler-cache.output"]) == (
        "save-torch-scatter",
        f"to {name}",
    )


def test_where_caches_are_only_read_nothing_is_written(
    make_job: MakeJob, driver: Driver, stores: Callable[..., None]
) -> None:
    job = make_job(caches=replace(KEPT, repository="lab/steps", readonly=True))
    stores(Wheels(compiler_cache.tag(job, WHEEL)))
    driver.steps = (step(WHEEL.target),)
    build.bake_targets(job, ("verify",))
    loaded, baked = driver.requests
    assert loaded.overrides["compiler-cache.target"] == "load-torch-scatter"
    assert (baked.targets, baked.overrides["*.cache-to"]) == (("verify",), "")


@pytest.mark.parametrize("failure", [BuildFailed("the disk is full"), Interrupted("interrupted")])
def test_a_cache_with_gaps_is_written_again_and_the_report_stays(
    make_job: MakeJob, driver: Driver, engine: list[Any], failure: UpliftError
) -> None:
    driver.steps = (step("verify", stage="check"),)  # ran, though its cache was there
    job = make_job()
    job = replace(job, reuse=replace(job.reuse, exact={"verify": "key-1"}))
    driver.then = [replace(outcome(BakeRequest(file=Path("x"))), state=State.FAILED, failure=failure)]
    if isinstance(failure, Interrupted):
        with pytest.raises(Interrupted):
            build.bake_verified(job, Store())
        return
    build.bake_verified(job, Store())
    outputs = {driver.requests[1].overrides[f"{name}.output"] for name in driver.asked[1]}
    assert outputs == {"type=cacheonly"}  # no second export takes the place of what was verified
    assert driver.requests[1].variables["CACHE_EXACT"] == ""
    assert engine == [(DIGEST, ("demo:2", "demo:1"), None)]


@pytest.mark.parametrize(("branch", "tags"), [("", ["verify.key-"]), ("feature", [])])
def test_tags_of_inputs_are_the_main_branchs_alone(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, branch: str, tags: list[str]
) -> None:
    given: list[str] = []

    class Registry:
        def digest_of(self, _reference: object) -> str:
            return DIGEST

        def tag(self, _reference: object, name: str) -> None:
            given.append(name)

    monkeypatch.setattr("generator.reuse.registry_cache.registry_of", lambda *_: Registry())
    exported = replace(step("verify"), kind=StepKind.CACHE, label="exporting cache to registry")
    job = make_job(caches=Caches(repository="lab/steps", branch=branch))
    registry_cache.mark(job, outcome(BakeRequest(file=Path("x")), steps=(exported,)))
    assert [name[: len("verify.key-")] for name in given] == tags


def test_a_compiler_cache_is_that_of_one_recipe_on_one_base(make_job: MakeJob) -> None:
    job = make_job()
    mirrored = make_job(base=f"mirror.example.org/base:1@{DIGEST}")
    assert compiler_cache.tag(mirrored, WHEEL) == compiler_cache.tag(job, WHEEL)
    other_base = make_job(base=f"base:1@sha256:{'2' * 64}")
    other_graph = build_graph(job.recipe.model_copy(update={"name": "other"}))
    other_recipe = replace(job, rendered=replace(job.rendered, graph=other_graph))
    assert len({compiler_cache.tag(one, WHEEL) for one in (job, other_base, other_recipe)}) == 3


@pytest.mark.parametrize("required", [False, True])
def test_a_wheel_that_can_not_be_pushed_fails_only_a_warm(
    make_job: MakeJob,
    driver: Driver,
    stores: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    *,
    required: bool,
) -> None:
    stores(Wheels())
    driver.steps = (step(WHEEL.target, state=State.CACHED),)
    driver.fails[WHEEL.target] = [outcome(BakeRequest(file=Path("x")), failure="denied")]
    if required:
        with pytest.raises(EnvironmentUnfit, match="could not be pushed to lab/wheels: denied"):
            build.warm(make_job(caches=KEPT))
    else:
        build.bake_targets(make_job(caches=KEPT), ("verify",))
        assert "warning: the wheels of wheel-torch-scatter could not be pushed" in capsys.readouterr().err


def test_a_wheel_that_the_store_has_is_not_baked(
    make_job: MakeJob, driver: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"lab/wheels:{WHEEL.tag}@{DIGEST}"
    build.bake_targets(make_job(stored=reference), (WHEEL.target,))
    assert driver.requests == []
    assert reference in capsys.readouterr().err


def test_a_store_that_fails_the_builder_is_left_out(
    make_job: MakeJob, driver: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"lab/wheels:{WHEEL.tag}@{DIGEST}"
    broken = FailedStep(
        target="verify", step=f"load metadata for {reference}", error="blob unknown", file="", line=None, log=()
    )
    driver.fails["verify"] = [outcome(BakeRequest(file=Path("x")), failure="blob unknown", failed=(broken,))]
    build.bake_targets(make_job(stored=reference), ("verify",))
    assert driver.requests[0].variables["WHEEL_TORCH_SCATTER"] == reference
    assert "WHEEL_TORCH_SCATTER" not in driver.requests[1].variables
    assert "compiled here instead" in capsys.readouterr().err


def test_where_nothing_may_compile_the_missing_keys_are_named(make_job: MakeJob, driver: Driver) -> None:
    refused = outcome(BakeRequest(file=Path("x")), failure="a step may not run", refused=(step(WHEEL.target),))
    driver.fails["verify"] = [refused]
    with pytest.raises(BuildFailed, match=rf"wheel-torch-scatter \(key {WHEEL.key.digest[:12]}\)"):
        build.bake_targets(make_job(), ("verify",), require_warm=True)
    assert driver.asked == [("verify",)]  # no compiler cache was loaded for it


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("failure", "saved"), [(DeadlineReached("late"), [WHEEL]), (BuildFailed("broken"), [])])
def test_at_the_deadline_the_compiler_caches_of_what_is_half_compiled_are_saved(
    make_job: MakeJob,
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
    failure: UpliftError,
    saved: list[Wheel],
) -> None:
    kept: list[Wheel] = []
    monkeypatch.setattr(compiler_cache, "save", lambda _job, wheels: kept.extend(wheels))
    begun = replace(step(WHEEL.target, state=State.CANCELLED), started=1.0)
    ended = replace(outcome(BakeRequest(file=Path("x")), steps=(begun,)), state=State.CANCELLED, failure=failure)
    driver.fails["verify"] = [ended]
    job = make_job()
    with pytest.raises(type(failure)):
        build.bake_verified(replace(job, facts=replace(job.facts, deadline=1.5)), Store())
    assert driver.requests[0].deadline == 1.5
    assert kept == saved
    assert json.loads((driver.folder / "results.json").read_text())["state"] == "cancelled"
