"""What is taken from the image store in place of a bake, in a real registry, with a driver that builds nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bake.ahead import Ahead
from bake.errors import EnvironmentUnfit, Interrupted
from bake.reference import Reference
from bake.registry import Answer, Outcome, Registry
from generator.baking import build, stored, tags
from generator.baking.delivery import Push
from generator.baking.preflight import BuildxProbe
from generator.baking.prepare import keys_for
from generator.job import Job, Preflight, Reuse
from generator.resolve.caches import Caches
from generator.resolve.facts import Facts
from generator.resolve.signing import Signing, signer_of
from generator.reuse import image_store
from generator.trust import Trust
from generator.trust.keys import public_key
from generator.trust.signer import KeylessSigner
from generator.verification.report import Row, VerificationReport
from tests.loopback import Loopback
from tests.unit.generator.baking.conftest import Driver

PROBE = BuildxProbe(builder=Ahead(lambda: None), buildx=Ahead(lambda: ""))


@dataclass
class Place:
    """A bake whose base is this test's own: no other test's images are in its store."""

    lab: Loopback
    job: Job
    driver: Driver
    patch: pytest.MonkeyPatch
    keys: dict[str, tuple[Path, Path]]
    made: list[Reference]

    def facts(self, **more: Any) -> Facts:
        return replace(self.job.facts, registry=f"{self.lab.host}/store", folder=self.driver.folder, **more)

    def by(self, signs: str = "", trusts: str = "") -> Facts:
        """Facts of somebody who signs, and of one who trusts a signature."""
        signer = signer_of(Signing(key=str(self.keys[signs][0]))) if signs else None
        trust = Trust(keys={f"{trusts}.pub": public_key(self.keys[trusts][1])}) if trusts else Trust()
        return self.facts(signer=signer, trust=trust)

    def tag(self, facts: Facts, found: Preflight | None = None) -> str:
        found = found or self.job.preflight
        return image_store.tag_of(keys_for(facts, self.job.rendered, found), facts, found)

    def bake(self, facts: Facts) -> Reference:
        """Bake, verify and push an image."""
        image = self.lab.put_image("store/demo:made", f"{self.job.preflight.base} {len(self.made)}".encode())
        self.made.append(replace(image, tag=None))
        self.driver.made = [{"containerimage.digest": str(image.digest)}]
        self.lab.registry().tag(image, tags.content_tag("1", str(image.digest)))
        reuse = Reuse(keys=keys_for(facts, self.job.rendered, self.job.preflight))
        build.bake_verified(replace(self.job, facts=facts, reuse=reuse), Push())
        return self.made[-1]

    def take(self, facts: Facts, found: Preflight | None = None, *, push: bool = True) -> bool:
        self.patch.setattr(stored, "_inputs", lambda *_: found or self.job.preflight)
        rendered, reporter = self.job.rendered, self.job.reporter
        return stored.deliver_stored(reporter, self.job.recipe, facts, PROBE, rendered, push=push)

    def digest(self, tag: str) -> str | None:
        return self.lab.registry().digest_of(replace(self.made[-1], digest=None, tag=tag))


@pytest.fixture
def place(
    lab: Loopback,
    make_job: Callable[..., Job],
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
    write_keys: Callable[..., tuple[Path, Path]],
    request: pytest.FixtureRequest,
) -> Place:
    own = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
    job = make_job(base=f"base:1@sha256:{own}", fetcher=f"python:3@sha256:{'f' * 64}", certain=True)
    return Place(lab, job, driver, monkeypatch, {name: write_keys(name) for name in ("lab", "others")}, [])


def test_of_the_same_inputs_nothing_is_built_and_the_tags_move(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = place.facts()
    image = place.bake(facts)
    for tag in ("1", "2"):
        place.lab.put_image(f"store/demo:{tag}", b"another")
    place.driver.requests.clear()
    capsys.readouterr()
    before = len(place.lab.log)
    assert place.take(facts)
    assert place.driver.requests == []
    assert "PATCH" not in place.lab.log[before:]  # nothing is uploaded
    assert (place.digest("1"), place.digest("2")) == (image.digest, image.digest)
    assert capsys.readouterr().out == f"{facts.image}@{image.digest}\n"
    record = json.loads((place.driver.folder / "results.json").read_text())
    assert record["stored"] == str(image)
    assert record["published"]["tags"][-1] == facts.image
    assert {name: row["state"] for name, row in record["targets"].items()} == {"image": "cached", "verify": "cached"}
    judged = json.loads((place.driver.folder / "verify/report.json").read_text())
    assert (judged["passed"], judged["image"]) == (True, facts.image)


@pytest.mark.parametrize("what", ["base", "fetcher", "platform", "tag", "time"])
def test_of_other_inputs_it_is_baked(place: Place, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    place.bake(place.facts())
    facts, found = place.facts(), place.job.preflight
    if what == "tag":
        facts = place.facts(tag="demo:other")  # the image's label has it
    elif what == "time":
        place.patch.setenv("SOURCE_DATE_EPOCH", "1")
    else:
        value = "linux/arm64" if what == "platform" else f"other:1@sha256:{'0' * 64}"
        changed: dict[str, Any] = {what: value}
        found = replace(found, **changed)
    capsys.readouterr()
    assert not place.take(facts, found)
    assert capsys.readouterr().err == ""


def test_another_name_of_the_same_fetcher_changes_nothing(place: Place) -> None:
    place.bake(place.facts())
    assert place.take(place.facts(), replace(place.job.preflight, fetcher=f"mirror.lab/python:3@sha256:{'f' * 64}"))


@pytest.mark.parametrize(
    ("signs", "said"), [("", "not signed"), ("others", "signed by nobody who is trusted here"), ("lab", "")]
)
def test_where_signatures_count_one_that_somebody_trusted_signed_is_taken(
    place: Place, capsys: pytest.CaptureFixture[str], signs: str, said: str
) -> None:
    place.bake(place.by(signs=signs))
    capsys.readouterr()
    assert place.take(place.by(trusts="lab")) is (said == "")
    assert said in capsys.readouterr().err


def test_who_signs_takes_what_the_same_key_signed(place: Place) -> None:
    place.bake(place.by(signs="others"))
    assert not place.take(place.by(signs="lab", trusts="others"))
    place.bake(place.by(signs="lab"))
    assert place.take(place.by(signs="lab"))


def test_who_signs_without_a_key_takes_nothing_unless_somebody_is_trusted(place: Place) -> None:
    place.bake(place.by(signs="lab"))
    assert not place.take(place.facts(signer=KeylessSigner()))
    assert place.take(replace(place.by(trusts="lab"), signer=KeylessSigner()))


def test_where_signatures_count_nothing_is_kept_that_nobody_signs(place: Place) -> None:
    facts = place.by(trusts="lab")
    place.bake(facts)
    assert place.tag(facts) not in place.lab.tags("store/demo")


def test_where_something_is_signed_another_text_of_the_recipe_is_another_image(place: Place) -> None:
    facts = place.by(signs="lab")
    place.bake(facts)
    assert not place.take(replace(facts, documents={"recipe": "0" * 64}))  # its provenance would name the old one


@pytest.mark.parametrize("signal", ["the stop", "a look at the inputs"])
def test_an_interruption_ends_it(place: Place, signal: str) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted("interrupted by SIGTERM")

    place.bake(place.facts())
    if signal == "the stop":
        place.patch.setattr(Registry, "manifest", interrupted)
        with pytest.raises(Interrupted):
            place.take(place.facts())
        return
    place.patch.setattr(stored, "_inputs", interrupted)
    rendered, reporter = place.job.rendered, place.job.reporter
    with pytest.raises(Interrupted):
        stored.deliver_stored(reporter, place.job.recipe, place.facts(), PROBE, rendered, push=True)


def test_a_tag_that_can_not_be_written_is_recorded_as_a_failure(place: Place) -> None:
    facts = place.facts()
    image = place.bake(facts)
    place.lab.put_image("store/demo:1", b"another")
    original = Registry.tag

    def tag(registry: Registry, reference: Reference, name: str) -> Answer:
        if name == "1":
            return Answer(outcome=Outcome.FORBIDDEN, url="", status=403, headers={})
        return original(registry, reference, name)

    place.patch.setattr(Registry, "tag", tag)
    with pytest.raises(EnvironmentUnfit, match="its tag 1 could not be written"):
        place.take(facts)
    record = json.loads((place.driver.folder / "results.json").read_text())
    assert (record["state"], record["stored"]) == ("failed", str(image))
    assert [name.rpartition(":")[2] for name in record["published"]["tags"]][1:] == ["2"]
    assert json.loads((place.driver.folder / "verify/report.json").read_text())["passed"] is True


def test_a_signed_image_of_other_inputs_is_not_taken_under_this_tag(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = place.by(signs="lab", trusts="lab")
    image = place.bake(facts)
    other = replace(place.job.preflight, base=f"base:1@sha256:{'1' * 64}")
    place.lab.registry().tag(image, place.tag(facts, other))  # by whoever may push
    assert not place.take(facts, other)
    assert "and not as 'verified-image/key-" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["pass", "fail"])
def test_one_whose_report_lacks_a_check_or_failed_is_made_anew(
    place: Place, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = place.facts()
    image = replace(place.lab.put_image("store/demo:poor", status.encode()), tag=None)
    rows = tuple(Row(**row) for row in place.driver.rows)
    rows = rows[1:] if status == "pass" else (replace(rows[0], status=status), *rows[1:])
    report = VerificationReport(recipe="demo", image="", rows=rows)
    job = replace(place.job, facts=facts, report=report)
    assert image_store.keep(job, place.lab.registry(), image, place.tag(facts)) == ""
    assert not place.take(facts)
    assert "no report of its verification is with it that passed" in capsys.readouterr().err


def test_one_whose_blobs_are_gone_is_made_anew(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    image = place.bake(place.facts())
    layer = place.lab.registry().manifest(image).data["layers"][0]["digest"]
    place.lab.registry()._ask("DELETE", f"/v2/{image.repository}/blobs/{layer}")
    assert not place.take(place.facts())
    assert "not all of it is there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "found", [{"caches": Caches(readonly=True)}, {"caches": Caches(branch="work")}, {"certain": False}]
)
def test_where_caches_are_only_read_or_of_a_branch_or_an_image_has_no_digest_nothing_is_kept(
    place: Place, found: dict[str, Any]
) -> None:
    place.job = replace(place.job, preflight=replace(place.job.preflight, **found))
    facts = place.facts()
    place.bake(facts)
    assert place.tag(facts) not in place.lab.tags("store/demo")
    assert not place.take(facts)


def test_without_a_push_the_engine_pulls_it_and_where_it_can_not_it_is_baked(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    place.patch.setattr(stored, "pull", lambda image, **_: asked.append(image))
    place.patch.setattr(stored, "name_image", lambda image, names, **_: asked.append((image, names)))
    place.patch.setattr(stored, "remove_name", lambda image, **_: asked.append(f"forget {image}"))
    facts = place.facts()
    image = str(place.bake(facts))
    name = f"{image.partition('@')[0]}:{place.tag(facts)}"
    there = {name: "same", image: "same"}
    place.patch.setattr(stored, "look_up_image", lambda asked_for, **_: SimpleNamespace(id=there[asked_for]))
    assert place.take(facts, push=False)
    assert asked == [name, (name, facts.names), f"forget {name}"]
    there[name] = "another"  # by whoever may push, in between
    asked.clear()
    assert not place.take(facts, push=False)
    assert asked == [name, f"forget {name}"]
    assert "its tag has moved meanwhile" in capsys.readouterr().err

    def fails(*_: object, **__: object) -> None:
        raise EnvironmentUnfit("the engine could not pull it (status 1)")

    place.patch.setattr(stored, "pull", fails)
    assert not place.take(facts, push=False)
    assert "could not pull it" in capsys.readouterr().err


def test_a_registry_that_does_not_answer_is_no_failure(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.bake(place.facts())
    assert not place.take(replace(place.facts(), registry="127.0.0.1:1/store"))
    assert "is baked, and not taken from the image store" in capsys.readouterr().err
