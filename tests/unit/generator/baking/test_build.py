"""What is baked in which order, and what becomes of it, with a driver that builds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx.driver import BakeRequest
from bake.errors import BuildFailed, EnvironmentUnfit, VerificationFailed
from bake.failure.explain import FailedStep
from bake.progress.events import State, StepKind
from generator.baking import build
from generator.baking.archive import Archive, ArchiveFormat
from generator.baking.delivery import Destination, Load, Push, Save, Store, delivery_to
from generator.job import Job
from generator.plan import build_graph
from generator.resolve.caches import Caches
from generator.reuse import compiler_cache, registry_cache
from generator.reuse.store import Found
from tests.unit.generator.baking.conftest import DIGEST, WHEEL, Driver, outcome, step

MakeJob = Callable[..., Job]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of the engine by its API."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "generator.baking.delivery.name_image", lambda digest, names, context: calls.append((digest, names, context))
    )
    monkeypatch.setattr(
        "generator.baking.delivery.remove_nameless", lambda digest, context: calls.append(("remove", digest, context))
    )
    monkeypatch.setattr("generator.baking.early_export.remove_name", lambda *_, **__: None)
    return calls


def test_on_the_engine_the_image_gets_its_names_after_it_passed(
    make_job: MakeJob, driver: Driver, engine: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    build.bake_verified(make_job(), Store())
    assert driver.asked == [("verify", "image", "torch")]
    assert driver.requests[0].overrides["image.tags"] == ""
    assert engine == [(DIGEST, ("demo:2", "demo:1"), None)]
    assert capsys.readouterr().out == f"demo:1@{DIGEST}\n"
    record = json.loads((driver.folder / "results.json").read_text())
    assert (record["state"], record["requested"]) == ("done", ["verify", "image", "torch"])


def test_an_image_that_does_not_pass_gets_no_name_and_goes(
    make_job: MakeJob, driver: Driver, engine: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    driver.passes = False
    with pytest.raises(VerificationFailed):
        build.bake_verified(make_job(), Store())
    assert engine == [("remove", DIGEST, None)]
    assert capsys.readouterr().out == ""
    assert (driver.folder / "verify/junit.xml").is_file()


def test_from_another_builder_it_is_sent_after_it_passed(make_job: MakeJob, driver: Driver, engine: list[Any]) -> None:
    build.bake_verified(make_job(own_builder=False), Load())
    assert driver.asked == [("verify",), ("image",)]
    assert driver.requests[1].overrides["image.output"] == "type=docker,compression=uncompressed"
    driver.passes, driver.requests[:] = False, []
    with pytest.raises(VerificationFailed):
        build.bake_verified(make_job(own_builder=False), Load())
    assert driver.asked == [("verify",)]
    assert engine == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_gets_its_name_when_it_is_whole(
    make_job: MakeJob, driver: Driver, tmp_path: Path, *, fails: bool
) -> None:
    archive = Archive(form=ArchiveFormat.OCI, path=tmp_path / "image.tar")
    driver.fails["image"] = [outcome(BakeRequest(file=Path("x")), failure="the disk is full")] if fails else []
    delivery = delivery_to(Destination.FILE, own_builder=True, archive=archive)
    assert delivery == Save(archive)
    if fails:
        with pytest.raises(BuildFailed, match="the disk is full"):
            build.bake_verified(make_job(), delivery)
    else:
        build.bake_verified(make_job(), delivery)
    assert archive.path.exists() is not fails
    assert not list(tmp_path.glob(".image.tar*"))
    record = json.loads((driver.folder / "results.json").read_text())
    assert record["state"] == ("failed" if fails else "done")


def test_a_failed_bake_is_recorded_and_delivers_nothing(make_job: MakeJob, driver: Driver, engine: list[Any]) -> None:
    driver.fails["verify"] = [outcome(BakeRequest(file=Path("x")), failure="nvcc failed")]
    with pytest.raises(BuildFailed, match="nvcc failed"):
        build.bake_verified(make_job(), Store())
    assert json.loads((driver.folder / "results.json").read_text())["failure"]["text"] == "nvcc failed"
    assert engine == []


def test_deliveries_follow_from_the_destination_and_the_builder() -> None:
    assert isinstance(delivery_to(Destination.REGISTRY, own_builder=False), Push)
    assert isinstance(delivery_to(Destination.ENGINE, own_builder=True), Store)
    assert isinstance(delivery_to(Destination.ENGINE, own_builder=False), Load)


class Wheels:
    """A store of wheels and compiler caches that has some names."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def look_up(self, name: str) -> Found:
        return Found(reference=f"lab/store:{name}@{DIGEST}" if name in self.names else "")

    def output(self, name: str) -> str:
        return f"to {name}"


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(store: Wheels) -> None:
        for module in ("wheel_store", "compiler_cache"):
            monkeypatch.setattr(f"generator.reuse.{module}.store_of", lambda name, _facts: store if name else None)

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
