"""What is baked in which order, and what becomes of it, with a driver that builds nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx.driver import BakeRequest
from bake.errors import BuildFailed, DeadlineReached, EnvironmentUnfit, Interrupted, UpliftError, VerificationFailed
from bake.failure.explain import FailedStep
from bake.progress.events import State, StepKind
from bake.reference import Reference
from bake.registry import Answer
from bake.registry.answer import Outcome
from generator.baking import build
from generator.baking.archive import Archive, ArchiveFormat
from generator.baking.delivery import Destination, Load, Push, Save, Store, delivery_to
from generator.job import Job, Wheel
from generator.plan import build_graph
from generator.resolve.caches import Caches
from generator.reuse import compiler_cache, registry_cache
from generator.reuse.store import Found
from tests.unit.generator.baking.conftest import CONFIGURATION, DIGEST, MADE, ROW, WHEEL, Driver, outcome, step

MakeJob = Callable[..., Job]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of the engine by its API."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "generator.baking.delivery.name_image",
        lambda digest, names, context=None: calls.append((digest, names, context)),
    )
    monkeypatch.setattr(
        "generator.baking.delivery.remove_nameless", lambda digest, context: calls.append(("remove", digest, context))
    )
    monkeypatch.setattr("generator.baking.delivery.remove_name", lambda name: calls.append(("forget", name)))
    monkeypatch.setattr("generator.baking.delivery.remove_parts", lambda *_, **__: None)
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


def test_no_link_of_an_image_is_written_through(
    make_job: MakeJob, driver: Driver, engine: list[Any], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    driver.plants = lambda folder: (folder / "junit.xml").symlink_to(victim)
    build.bake_verified(make_job(), Store())
    assert victim.read_text() == "mine"
    assert (driver.folder / "verify/junit.xml").read_text().startswith("<?xml")
    assert engine == [(DIGEST, ("demo:2", "demo:1"), None)]


def test_a_report_of_an_earlier_bake_or_behind_a_link_is_not_read(
    make_job: MakeJob, driver: Driver, tmp_path: Path
) -> None:
    good = json.dumps({"schema": 1, "recipe": "demo", "passed": True, "rows": [ROW]})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "report.json").write_text(good)
    (driver.folder / "verify").symlink_to(elsewhere)  # as an earlier bake might have left it
    driver.writes = False
    with pytest.raises(BuildFailed, match="no readable report"):
        build.bake_verified(make_job(own_builder=False), Load())
    driver.plants = lambda folder: (folder / "report.json").symlink_to(elsewhere / "report.json")
    with pytest.raises(BuildFailed, match="no readable report"):
        build.bake_verified(make_job(own_builder=False), Load())
    assert [path.name for path in elsewhere.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("check", "subject"),
    [("version", "torch"), ("sass", "torch-scatter"), ("model-set", "sugar"), ("arch", "12.0"), ("conflict", "*")],
)
def test_a_report_that_lacks_a_check_of_the_recipe_does_not_pass(
    make_job: MakeJob, driver: Driver, engine: list[Any], check: str, subject: str
) -> None:
    left = [row for row in driver.rows if (row["check"], row["subject"]) != (check, subject)]
    assert len(left) == len(driver.rows) - 1
    driver.rows = left
    with pytest.raises(VerificationFailed, match=re.escape(f"{check} {subject}: expected a row in the report")):
        build.bake_verified(make_job(), Store())
    assert engine == [("remove", DIGEST, None)]
    judged = json.loads((driver.folder / "verify/report.json").read_text())
    assert judged["passed"] is False
    assert judged["rows"][-1]["subject"] == subject


def test_what_a_report_says_of_itself_counts_nothing(make_job: MakeJob, driver: Driver, engine: list[Any]) -> None:
    driver.rows = [*driver.rows, {**ROW, "status": "fail"}]  # beside "passed": true
    with pytest.raises(VerificationFailed, match="1 of "):
        build.bake_verified(make_job(), Store())
    assert engine == [("remove", DIGEST, None)]


def test_from_another_builder_it_is_sent_without_its_name_and_named_after_it_passed(
    make_job: MakeJob, driver: Driver, engine: list[Any]
) -> None:
    build.bake_verified(make_job(own_builder=False), Load())
    assert driver.asked == [("verify", "image")]
    overrides = driver.requests[0].overrides
    assert overrides["image.tags"] == ""
    kind, sent, form = overrides["image.output"].split(",")
    assert (kind, form) == ("type=docker", "compression=uncompressed")
    name = sent.removeprefix("name=")
    assert name.startswith("image-uplift-part:")
    assert engine == [(name, ("demo:2", "demo:1"), None), ("forget", name)]
    assert json.loads((driver.folder / "results.json").read_text())["targets"] is not None


@pytest.mark.usefixtures("engine")
def test_a_record_that_cannot_be_written_is_said_beside_what_failed(
    make_job: MakeJob, driver: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    (driver.folder / "results.json/kept").mkdir(parents=True)
    with pytest.raises(EnvironmentUnfit, match="the record of the bake can't be written"):
        build.bake_verified(make_job(), Store())
    driver.fails["verify"] = [outcome(BakeRequest(file=Path("x")), failure="nvcc failed")]
    with pytest.raises(BuildFailed, match="nvcc failed"):
        build.bake_verified(make_job(), Store())
    assert "the record of the bake can't be written" in capsys.readouterr().err


@pytest.mark.parametrize("fails", [False, True])
def test_from_another_builder_nothing_is_left_of_one_that_does_not_pass(
    make_job: MakeJob, driver: Driver, engine: list[Any], *, fails: bool
) -> None:
    driver.passes = False
    driver.fails["verify"] = [outcome(BakeRequest(file=Path("x")), failure="nvcc failed")] if fails else []
    with pytest.raises(BuildFailed if fails else VerificationFailed):
        build.bake_verified(make_job(own_builder=False), Load())
    ((said, name),) = engine
    assert said == "forget"
    assert name.startswith("image-uplift-part:")


OTHER = {**MADE, "containerimage.digest": f"sha256:{'b' * 64}", "containerimage.config.digest": f"sha256:{'d' * 64}"}
UNTOLD = {"image.name": "demo:1"}


@pytest.mark.parametrize(("made", "configuration"), [(MADE, b'{"os": "plan9"}'), (MADE, b""), (UNTOLD, CONFIGURATION)])
@pytest.mark.parametrize("form", ArchiveFormat)
def test_another_image_than_the_verified_one_becomes_no_file(
    make_job: MakeJob,
    driver: Driver,
    tmp_path: Path,
    form: ArchiveFormat,
    made: dict[str, str],
    configuration: bytes,
) -> None:
    driver.made, driver.configuration = [made], configuration
    archive = Archive(form=form, path=tmp_path / "image.tar")
    archive.path.write_text("of yesterday")
    with pytest.raises(BuildFailed, match=r"another image|did not tell"):
        build.bake_verified(make_job(), Save(archive))
    assert archive.path.read_text() == "of yesterday"
    assert not list(tmp_path.glob(".image.tar*"))


def test_an_image_that_nobody_told_the_digest_of_is_not_exported_again_by_name(
    make_job: MakeJob, driver: Driver, engine: list[Any]
) -> None:
    driver.made = [UNTOLD]
    with pytest.raises(BuildFailed, match="did not tell"):
        build.bake_verified(make_job(), Store())
    assert driver.asked == [("verify", "image", "torch")]
    assert engine == []


class Repository:
    """A registry that takes every tag; what is asked of it."""

    host = "lab"

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.untagged: list[str] = []

    def pushed(self, _image: Reference) -> Answer:
        return Answer(outcome=Outcome.ABSENT, url="", headers={})

    manifest = pushed

    def tag(self, _image: Reference, tag: str) -> Answer:
        self.tags.append(tag)
        return Answer(outcome=Outcome.ANSWERS, url="", headers={})

    def untag(self, image: Reference) -> None:
        self.untagged.append(str(image.tag))


@pytest.mark.parametrize("made", [[MADE], [MADE, OTHER], [UNTOLD]])
def test_only_the_verified_image_gets_tags_in_a_registry(
    make_job: MakeJob,
    driver: Driver,
    engine: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    made: list[dict[str, str]],
) -> None:
    driver.made = list(made)
    registry = Repository()
    monkeypatch.setattr("generator.baking.publish._registry", lambda *_: registry)
    if made == [MADE]:
        build.bake_verified(make_job(), Push())
        assert (registry.tags, registry.untagged) == (["2", "1"], [])
        return
    with pytest.raises(BuildFailed, match=r"another image|did not tell"):
        build.bake_verified(make_job(), Push())
    assert registry.tags == []
    assert registry.untagged == ([f"1-{DIGEST[7:19]}"] if OTHER in made else [])
    assert engine == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_gets_its_name_when_it_is_whole(
    make_job: MakeJob, driver: Driver, tmp_path: Path, *, fails: bool
) -> None:
    archive = Archive(form=ArchiveFormat.OCI, path=tmp_path / "image.tar")
    driver.fails["image"] = [outcome(BakeRequest(file=Path("x")), failure="the disk is full")] if fails else []
    delivery = delivery_to(Destination.FILE, own_builder=True, archive=archive)
    assert isinstance(delivery, Save)
    if fails:
        with pytest.raises(BuildFailed, match="the disk is full"):
            build.bake_verified(make_job(), delivery)
    else:
        build.bake_verified(make_job(), delivery)
    assert archive.path.exists() is not fails
    assert not list(tmp_path.glob(".image.tar*"))
    record = json.loads((driver.folder / "results.json").read_text())
    assert record["state"] == ("failed" if fails else "done")


@pytest.mark.parametrize("fails", [False, True])
def test_an_image_is_pushed_and_saved_where_both_are_asked_for(
    make_job: MakeJob,
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    fails: bool,
) -> None:
    registry = Repository()
    monkeypatch.setattr("generator.baking.publish._registry", lambda *_: registry)
    driver.fails["image"] = [outcome(BakeRequest(file=Path("x")), failure="denied")] if fails else []
    archive = Archive(form=ArchiveFormat.DOCKER, path=tmp_path / "image.tar")
    delivery = delivery_to(Destination.REGISTRY, own_builder=True, archive=archive)
    if fails:
        with pytest.raises(BuildFailed, match="denied"):
            build.bake_verified(make_job(), delivery)
        assert (registry.tags, archive.path.exists(), len(driver.requests)) == ([], False, 2)
        return
    build.bake_verified(make_job(), delivery)
    assert (registry.tags, archive.path.is_file()) == (["2", "1"], True)
    assert capsys.readouterr().out == f"demo:1@{DIGEST}\n{archive.path}\n"
    record = json.loads((driver.folder / "results.json").read_text())
    assert record["published"]["digest"] == DIGEST


def test_a_failed_bake_is_recorded_and_delivers_nothing(make_job: MakeJob, driver: Driver, engine: list[Any]) -> None:
    driver.fails["verify"] = [outcome(BakeRequest(file=Path("x")), failure="nvcc failed")]
    with pytest.raises(BuildFailed, match="nvcc failed"):
        build.bake_verified(make_job(), Store())
    assert json.loads((driver.folder / "results.json").read_text())["failure"]["text"] == "nvcc failed"
    assert engine == []


def test_verify_by_name_fails_where_a_check_does(make_job: MakeJob, driver: Driver) -> None:
    driver.passes = False
    with pytest.raises(VerificationFailed):
        build.bake_targets(make_job(), ("verify",))


@pytest.mark.parametrize("own_builder", [True, False])
def test_an_image_that_was_not_verified_gets_no_name(
    make_job: MakeJob, driver: Driver, engine: list[Any], capsys: pytest.CaptureFixture[str], *, own_builder: bool
) -> None:
    build.bake_targets(make_job(own_builder=own_builder), ("image",))
    assert driver.requests[0].overrides["image.output"] == "type=cacheonly"
    assert engine == []
    assert "the image has no name, it is in the build cache alone: `bake` verifies it as demo:1" in (
        capsys.readouterr().err
    )


def interrupted(*_: object, **__: object) -> None:
    raise Interrupted("interrupted by SIGINT")


@pytest.mark.parametrize("place", ["show_proof", "_keep", "record"])
@pytest.mark.parametrize("own_builder", [True, False])
def test_whatever_ends_a_bake_nothing_is_left_of_its_image(
    make_job: MakeJob, engine: list[Any], monkeypatch: pytest.MonkeyPatch, place: str, *, own_builder: bool
) -> None:
    monkeypatch.setattr(build, place, interrupted)
    delivery = delivery_to(Destination.ENGINE, own_builder=own_builder)
    with pytest.raises(Interrupted):
        build.bake_verified(make_job(own_builder=own_builder), delivery)
    assert [call[0] for call in engine] == ["remove" if own_builder else "forget"]


def test_where_nothing_may_compile_no_part_of_an_image_is_left(
    make_job: MakeJob, driver: Driver, engine: list[Any]
) -> None:
    refused = outcome(BakeRequest(file=Path("x")), failure="a step may not run", refused=(step(WHEEL.target),))
    driver.fails["verify"] = [refused]
    with pytest.raises(BuildFailed, match="not in the wheel store"):
        build.bake_verified(make_job(own_builder=False), Load(), require_warm=True)
    assert [call[0] for call in engine] == ["forget"]


def test_the_table_of_mirrors_is_this_users_alone_and_goes_through_no_link(
    make_job: MakeJob, driver: Driver, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text("kept")
    (driver.folder / "mirrors.txt").symlink_to(tmp_path / "other")
    job = make_job()
    build.bake_targets(replace(job, facts=replace(job.facts, mirrors={"https://a/": "https://b/"})), ("verify",))
    file = driver.folder / "mirrors.txt"
    assert driver.requests[0].variables["MIRRORS"] == str(file)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("https://a/ https://b/\n", 0o600)
    assert (tmp_path / "other").read_text() == "kept"


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
