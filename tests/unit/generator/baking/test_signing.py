"""What is signed and said of a pushed image, and how that is held against recipe and lock, in a real registry."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bake.buildx.driver import BakeOutcome
from bake.errors import EnvironmentUnfit, UsageError, VerificationFailed
from bake.reference import Reference
from bake.registry import Answer, Outcome
from bake.registry.manifest import IMAGES, INDEX
from bake.registry.referrers import attach
from generator.baking import build
from generator.baking.delivery import Delivered, Delivery, Push
from generator.baking.tags import content_tag
from generator.commands import verify_provenance
from generator.job import Job
from generator.resolve.facts import Facts
from generator.resolve.signing import Signing, signer_of
from generator.reuse import image_store
from generator.trust import Verified
from generator.trust.attached import find, signed
from generator.trust.provenance import hashed
from generator.trust.statement import PROVENANCE, SBOM, SIGNATURE, VERIFICATION, statement
from generator.verification.report import VerificationReport, require_passed
from tests.loopback import Loopback
from tests.unit.generator.baking.conftest import DOCUMENTS, ROW, Driver, FactsOf, Keys
from tests.unit.generator.baking.conftest import WHEEL as SCATTER

MakeJob = Callable[..., Job]


def push(
    make_job: MakeJob,
    driver: Driver,
    lab: Loopback,
    facts: Facts,
    content: bytes = b"an image",
    delivery: Delivery | None = None,
) -> Reference:
    """Push the image of a bake, as BuildKit has made it, with all that is said of it."""
    image = lab.put_image("lab/demo:made", content)
    driver.made = [{"containerimage.digest": str(image.digest)}]
    lab.registry().tag(image, content_tag("1", str(image.digest)))
    job = make_job(base=f"base:1@sha256:{'c' * 64}", fetcher=f"python:3@sha256:{'f' * 64}", certain=True)
    build.bake_verified(replace(job, facts=replace(facts, folder=driver.folder)), delivery or Push())
    return replace(image, tag=None)


def said_of(lab: Loopback, image: Reference, facts: Facts) -> dict[str, Verified]:
    return {entry.predicate_type: entry for entry in find(lab.registry(), image, facts.trust).verified}


def test_a_pushed_image_carries_signed_statements_and_stays_as_it_is(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    facts = facts_of("lab", "lab")
    image = push(make_job, driver, lab, facts)
    registry = lab.registry()
    assert registry.digest_of(dataclasses.replace(image, digest=None, tag="1")) == image.digest
    said = said_of(lab, image, facts)
    assert list(said) == [SIGNATURE, PROVENANCE, SBOM, VERIFICATION]
    record = json.loads((driver.folder / "results.json").read_text())
    assert record["published"]["statements"] == list(said)
    report = said[VERIFICATION].predicate
    assert report["passed"] is True
    judged = json.loads((driver.folder / "verify/report.json").read_text())
    assert report == {**judged, "image": str(image.digest)}
    for entry in said.values():  # no host, no mirror and no path
        assert lab.host not in json.dumps(entry.predicate)


class Meddled(Push):
    """A push before which somebody writes another report into the build folder."""

    def deliver(self, job: Job, built: BakeOutcome) -> Delivered:
        (job.folder / "verify/report.json").write_text('{"schema": 1, "recipe": "demo", "passed": true, "rows": []}')
        return super().deliver(job, built)


def test_the_report_that_was_judged_is_signed_and_not_what_lies_there_by_then(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    facts = facts_of("lab", "lab")
    image = push(make_job, driver, lab, facts, b"meddled", Meddled())
    assert said_of(lab, image, facts)[VERIFICATION].predicate["rows"] == list(driver.rows)


def test_pushed_again_nothing_is_signed_twice(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    facts = facts_of("lab", "lab")
    image = push(make_job, driver, lab, facts, b"twice")
    before = lab.registry().referrers(image)
    push(make_job, driver, lab, facts, b"twice")
    assert lab.registry().referrers(image) == before


def test_the_bill_of_materials_is_valid_and_has_what_verification_saw(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    facts = facts_of("lab", "lab")
    image = push(make_job, driver, lab, facts)
    bom = said_of(lab, image, facts)[SBOM].predicate
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None
    assert sorted(row["purl"] for row in bom["components"]) == [
        "pkg:conda/python@3.11.9?build=h955ad1f_0",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12",
        "pkg:pypi/torch@2.11.0",
    ]
    assert bom["metadata"]["component"]["version"] == image.digest


def test_the_provenance_has_the_inputs_and_nothing_of_this_place(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf, tmp_path: Path
) -> None:
    facts = facts_of("lab", "lab", mirrors={"docker.io/": "mirror.lab/hub/"}, base_mirror="mirror.lab/hub/base:1")
    image = push(make_job, driver, lab, facts)
    entry = said_of(lab, image, facts)[PROVENANCE]
    build_ = entry.predicate["buildDefinition"]
    assert build_["externalParameters"] == {
        "name": "demo",
        "archs": ["9.0", "12.0"],
        "recipe": {"digest": {"sha256": DOCUMENTS["recipe"]}},
        "lock": {"digest": {"sha256": DOCUMENTS["lock"]}},
    }
    made_of = {row["name"]: row for row in build_["resolvedDependencies"]}
    assert made_of["base"] == {"name": "base", "uri": "base:1", "digest": {"sha256": "c" * 64}}
    assert made_of["source torch-scatter"]["uri"].startswith("pkg:pypi/torch-scatter@")
    assert made_of[SCATTER.target]["uri"] == f"urn:image-uplift:wheel:{SCATTER.key.digest}"
    for private in (str(tmp_path), lab.host, "mirror.lab"):
        assert private not in entry.payload.decode()


def test_just_the_report_is_attached_where_nothing_signs(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    image = push(make_job, driver, lab, facts_of(), b"unsigned")
    rows = lab.registry().referrers(image)
    assert isinstance(rows, list)
    assert [row["artifactType"] for row in rows] == [image_store.REPORT]
    assert lab.registry().digest_of(dataclasses.replace(image, digest=None, tag="1")) == image.digest


def test_where_the_statements_can_not_be_attached_no_tag_moves(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    before = push(make_job, driver, lab, facts_of("lab"))
    registry, image = lab.registry(), lab.put_image("lab/demo:made", b"another")
    listed = registry.listed(before)
    assert not isinstance(listed, Answer)
    full = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed[:1] * IMAGES}
    registry.put_manifest("lab/demo", str(image.digest).replace(":", "-"), json.dumps(full).encode(), INDEX)
    with pytest.raises(EnvironmentUnfit, match=r"its signed statements are not attached: .*256") as told:
        push(make_job, driver, lab, facts_of("lab"), b"another")
    assert "no tag in use has moved" in str(told.value)
    assert registry.digest_of(dataclasses.replace(before, digest=None, tag="1")) == before.digest
    record = json.loads((driver.folder / "results.json").read_text())
    assert (record["state"], "statements" in record["published"]) == ("failed", False)


def rows(report: VerificationReport, status: str = "fail") -> list[str]:
    return [f"{row.check} {row.subject}" for row in report.rows if row.status == status]


def test_an_image_is_held_against_recipe_and_lock(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    facts = facts_of("lab", "lab")
    image = push(make_job, driver, lab, facts)
    recipe = make_job().recipe
    pinned = replace(facts, base=f"base:1@sha256:{'c' * 64}")
    for name in (str(image), str(dataclasses.replace(image, digest=None, tag="1"))):
        report = verify_provenance.check(recipe, pinned, name)
        require_passed(report)
        assert report.image.endswith(f"@{image.digest}")
    assert rows(report, "pass")[:4] == ["signed signature", "signed provenance", "signed sbom", "signed verification"]
    without_lock = verify_provenance.check(recipe, facts, str(image))
    assert rows(without_lock) == []
    assert "input base" in rows(without_lock, "info")


def test_another_recipe_lock_base_or_arch_fails_its_row(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    facts = facts_of("lab", "lab")
    image = str(push(make_job, driver, lab, facts))
    recipe = make_job().recipe
    changed = replace(facts, documents={**DOCUMENTS, "recipe": hashed("another recipe")})
    assert rows(verify_provenance.check(recipe, changed, image)) == ["recipe file"]
    unlocked = replace(facts, documents={"recipe": DOCUMENTS["recipe"]})
    assert rows(verify_provenance.check(recipe, unlocked, image)) == ["lock file"]
    rebased = replace(facts, base=f"base:1@sha256:{'d' * 64}")
    assert rows(verify_provenance.check(recipe, rebased, image)) == ["input base"]
    other = recipe.model_copy(update={"stack": recipe.stack.model_copy(update={"archs": ("9.0",)})})
    assert rows(verify_provenance.check(other, facts, image)) == ["recipe archs"]
    extension = recipe.extensions["torch-scatter"].model_copy(update={"sha256": "e" * 64})
    swapped = recipe.model_copy(update={"extensions": {"torch-scatter": extension}})
    assert rows(verify_provenance.check(swapped, facts, image)) == ["input source torch-scatter"]


def test_the_provenance_names_the_fetcher_and_each_locked_file_and_another_one_fails_its_row(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    files = {"stack": {"torch-2.whl": "1" * 64, "numpy-1.whl": "2" * 64}, "apt": {"git_1_amd64.deb": "3" * 64}}
    facts = facts_of("lab", "lab", fetcher="python:3", files=files)
    image = push(make_job, driver, lab, facts, b"locked")
    listed = said_of(lab, image, facts)[PROVENANCE].predicate["buildDefinition"]["resolvedDependencies"]
    made_of = {row["name"]: row["digest"] for row in listed if "digest" in row}
    locked = {f"{group} {file}": {"sha256": sha256} for group in files for file, sha256 in files[group].items()}
    assert made_of.items() >= {"fetcher": {"sha256": "f" * 64}, **locked}.items()

    def failing(**changed: Any) -> list[str]:
        pinned = {"fetcher": f"python:3@sha256:{'f' * 64}", **changed}
        return rows(verify_provenance.check(make_job().recipe, replace(facts, **pinned), str(image)))

    assert failing() == []
    assert failing(files={**files, "apt": {"git_1_amd64.deb": "4" * 64}}) == ["input apt git_1_amd64.deb"]
    assert failing(files={**files, "uv": {"uv.tar.gz": "5" * 64}}) == ["input uv uv.tar.gz"]
    assert failing(fetcher=f"python:3@sha256:{'e' * 64}") == ["input fetcher"]


def test_an_image_that_nobody_trusted_signed_fails_and_says_why(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf
) -> None:
    image = str(push(make_job, driver, lab, facts_of("others"), b"of others"))
    report = verify_provenance.check(make_job().recipe, facts_of(trusts="lab"), image)
    assert rows(report) == ["signed signature", "signed provenance", "signed sbom", "signed verification"]
    assert {row.found for row in report.rows} == {"signed by nobody who is trusted here"}
    with pytest.raises(VerificationFailed):
        require_passed(report)
    with pytest.raises(UsageError, match="nobody is trusted here"):
        verify_provenance.check(make_job().recipe, facts_of(), image)
    with pytest.raises(EnvironmentUnfit, match="does not have the image"):
        verify_provenance.check(make_job().recipe, facts_of(trusts="lab"), f"{lab.host}/lab/absent:1")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, "pass"),
        ({"rows": [ROW, {**ROW, "status": "fail"}]}, "fail"),
        ({"rows": [ROW, {**ROW, "status": "skipped"}]}, "fail"),
        ({"rows": []}, "fail"),
        ({"rows": [{"status": "pass"}]}, "fail"),
        ({"rows": "none"}, "fail"),
        ({"passed": False}, "fail"),
        ({"recipe": "another"}, "fail"),
        ({"schema": 2}, "fail"),
    ],
)
def test_a_signed_report_counts_by_its_rows_and_for_its_recipe(
    make_job: MakeJob, lab: Loopback, facts_of: FactsOf, changed: dict[str, Any], status: str
) -> None:
    facts = facts_of("lab", "lab")
    image = lab.put_image("lab/demo:reported", json.dumps(changed).encode())
    report = {"schema": 1, "recipe": "demo", "passed": True, "rows": [ROW], **changed}
    text = statement(str(image.digest), "image/demo", VERIFICATION, report)
    assert facts.signer is not None
    artifacts = signed(lab.registry(), image, {VERIFICATION: text}, facts.signer, facts.trust)
    assert attach(lab.registry(), image, artifacts).outcome is Outcome.ANSWERS
    found = verify_provenance.check(make_job().recipe, facts, str(image))
    assert [row.status for row in found.rows if row.check == "verification"] == [status]


def test_no_secret_is_in_what_is_sent(
    make_job: MakeJob, driver: Driver, lab: Loopback, facts_of: FactsOf, write_keys: Keys
) -> None:
    private, _ = write_keys("canary")
    signer = signer_of(Signing(key=str(private)))
    push(make_job, driver, lab, replace(facts_of("lab"), signer=signer), b"canary")
    secret = private.read_text().splitlines()[1].encode()
    files = [path for folder in (lab.folder, driver.folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if secret in path.read_bytes() or base64.b64encode(secret) in path.read_bytes()]
