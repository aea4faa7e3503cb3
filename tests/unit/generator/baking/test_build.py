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
from bake.errors import BuildFailed, EnvironmentUnfit, Interrupted, VerificationFailed
from bake.reference import Reference
from bake.registry import Answer
from bake.registry.answer import Outcome
from generator.baking import build
from generator.baking.archive import Archive, ArchiveFormat
from generator.baking.delivery import Destination, Load, Push, Save, Store, delivery_to
from generator.job import Job
from tests.unit.generator.baking.conftest import CONFIGURATION, DIGEST, MADE, ROW, WHEEL, Driver, outcome, step

MakeJob = Callable[..., Job]


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


@pytest.mark.usefixtures("engine")
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
