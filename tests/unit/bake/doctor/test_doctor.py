"""The checks with made-up engines: nothing here talks to a real one."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from functools import partial

import pytest

from bake import doctor
from bake.buildx.builder_facts import BuilderFacts, NodeFacts
from bake.doctor import CHECKS, Severity, Subject, require_fit, run_checks
from bake.doctor.finding import Engine, ok
from bake.engine import facts as engine
from bake.engine.facts import EngineFacts, ImageFacts, version_of
from bake.errors import EnvironmentUnfit, UsageError
from bake.registry import Answer, Outcome

FACTS = EngineFacts(
    host="unix:///var/run/docker.sock",
    version="28.5.2+dfsg4",
    containerd_store=True,
    storage_driver="overlayfs",
    data_root="/var/lib/docker",
    free_disk=50_000_000_000,
    cpus=2,
    memory=24_000_000_000,
    architecture="x86_64",
)
NODE = NodeFacts(name="default", endpoint="default", status="running", platforms=("linux/amd64",))
IMAGE = ImageFacts(
    reference="demo-base:1", id="sha256:" + "a" * 64, digest=None, size=10**9, layers=("l",), architecture="amd64"
)


@pytest.fixture
def surroundings(monkeypatch):
    """Make the checks see given facts; returns the function that changes them."""

    def see(facts=FACTS, image=IMAGE, outcome=Outcome.ABSENT, buildx="0.29.1"):
        monkeypatch.setattr(Engine, "client", object())
        monkeypatch.setattr(Engine, "facts", facts)
        monkeypatch.setattr(Engine, "_builder", BuilderFacts(name="default", driver="docker", nodes=(NODE,)))
        monkeypatch.setattr(engine, "engine_facts", lambda _, **_context: facts)
        monkeypatch.setattr("bake.doctor.base.image_facts", lambda _client, _name: image)
        monkeypatch.setattr("bake.doctor.buildx.require_buildx", lambda: buildx)
        answer = Answer(outcome=outcome, url="u", detail="why", headers={}, body=b'{"layers": []}')
        monkeypatch.setattr("bake.registry.Registry._request", lambda *_, **__: answer)

    return see


def _by_check(**subject):
    return {finding.check: finding for finding in run_checks(Subject(**subject))}


def test_all_is_well(surroundings):
    surroundings(outcome=Outcome.ANSWERS)
    findings = run_checks(Subject(base="demo-base:1", registry="r.example", disk=10**9))
    asked = {"engine", "buildx", "builder", "disk", "base", "registry"}  # the others have no subject
    assert [finding.check for finding in findings] == [name for name, _ in CHECKS if name in asked]
    assert {finding.severity for finding in findings} == {Severity.OK}
    assert {finding.remediation for finding in findings} == {""}
    assert require_fit(Subject(base="demo-base:1")) == []


def test_too_old_an_engine_says_what_is_needed_and_found(surroundings):
    surroundings(facts=EngineFacts(**{**vars(FACTS), "version": "20.10.24"}))
    finding = _by_check()["engine"]
    assert finding.severity is Severity.ERROR
    assert "25.0 or later is needed, found 20.10.24" in finding.message


def test_the_old_image_store_is_a_warning(surroundings):
    surroundings(facts=EngineFacts(**{**vars(FACTS), "containerd_store": False, "storage_driver": "overlay2"}))
    warnings = require_fit(Subject())
    assert [(finding.severity, "overlay2" in finding.message) for finding in warnings] == [(Severity.WARNING, True)]


def test_no_disk_names_needed_and_free(surroundings):
    surroundings()
    finding = _by_check(disk=60_000_000_000)["disk"]
    assert finding.severity is Severity.ERROR
    assert "needs 60.0 GB of disk, and 50.0 GB are free" in finding.message


def test_a_disk_elsewhere_cannot_be_seen(surroundings):
    surroundings(facts=EngineFacts(**{**vars(FACTS), "free_disk": None}))
    assert _by_check(disk=10**9)["disk"].severity is Severity.WARNING


def test_an_absent_base_tells_the_recipes_remedy(surroundings):
    surroundings(image=None)
    finding = _by_check(base="demo-base:1", base_remedy="make demo-base")["base"]
    assert (finding.severity, finding.remediation) == (Severity.ERROR, "make demo-base")
    assert "docker.io does not have it" in finding.message


def test_a_base_that_can_be_pulled_is_fine(surroundings):
    surroundings(image=None, outcome=Outcome.ANSWERS)
    assert _by_check(base="pbfslab/deepprep:25.1.0")["base"].severity is Severity.OK


def test_a_base_that_is_not_the_locked_one(surroundings, monkeypatch):
    surroundings()
    wanted = "sha256:" + "b" * 64
    monkeypatch.setattr("bake.doctor.base.image_facts", lambda _client, name: None if "@" in name else IMAGE)
    finding = _by_check(base=f"demo-base:1@{wanted}", base_remedy="make demo-base")["base"]
    assert finding.severity is Severity.ERROR
    assert f"{wanted} is locked" in finding.message
    assert "run `lock` again if the new one is meant; make demo-base" in finding.remediation


def test_a_base_with_steps_of_its_own(surroundings):
    surroundings(image=dataclasses.replace(IMAGE, triggers=("RUN id",)))
    findings = [found for found in run_checks(Subject(base="demo-base:1")) if "ONBUILD" in found.message]
    assert [found.severity for found in findings] == [Severity.WARNING]


def test_a_base_of_another_architecture(surroundings):
    surroundings(facts=EngineFacts(**{**vars(FACTS), "architecture": "aarch64"}))
    assert _by_check(base="demo-base:1")["base"].severity is Severity.WARNING


def test_a_wrong_reference_is_found_and_the_other_checks_go_on(surroundings):
    surroundings()
    findings = _by_check(base="Demo:1", registry="r example")
    assert {name: finding.severity for name, finding in findings.items()} == {
        "engine": Severity.OK,
        "buildx": Severity.OK,
        "builder": Severity.OK,
        "disk": Severity.OK,
        "base": Severity.ERROR,
        "registry": Severity.ERROR,
    }


def test_all_errors_stand_in_one_failure(surroundings):
    surroundings(image=None)
    with pytest.raises(EnvironmentUnfit) as caught:
        require_fit(Subject(base="demo-base:1", disk=10**12, base_remedy="make demo-base"))
    text = str(caught.value)
    assert "1.0 TB" in text
    assert "demo-base:1" in text
    assert "make demo-base" in text


def test_no_engine_fails_once_and_does_not_stop_the_others(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    findings = run_checks(Subject(base="demo-base:1"), only=frozenset({"engine", "disk", "base"}))
    assert [(finding.check, finding.severity) for finding in findings] == [("engine", Severity.ERROR)]
    assert "unix:///nonexistent/docker.sock" in findings[0].message


@pytest.mark.parametrize("host", ["bogus://x", "tcp://127.0.0.1:1"])
def test_an_engine_that_cannot_be_reached(monkeypatch, host):
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EnvironmentUnfit, match="no Docker Engine answers"):
        engine.connect()


def test_a_socket_that_is_forbidden():
    error = engine._unreachable("unix:///x", PermissionError(13, "Permission denied"))
    assert "may not use" in error.message
    assert "group `docker`" in (error.remedy or "")


@pytest.mark.parametrize(
    ("printed", "status"),
    [("github.com/docker/buildx v0.12.1 abc", "found v0.12.1"), ("github.com/docker/buildx dev", "without a version")],
)
def test_too_old_a_buildx(monkeypatch, tmp_path, printed, status):
    _stub(monkeypatch, tmp_path, f"echo '{printed}'")
    with pytest.raises(EnvironmentUnfit, match=r"buildx 0\.20 or later is needed") as caught:
        engine.require_buildx()
    assert status in caught.value.message


def test_no_buildx(monkeypatch, tmp_path):
    _stub(monkeypatch, tmp_path, "echo \"docker: 'buildx' is not a docker command.\" >&2; exit 1")
    with pytest.raises(EnvironmentUnfit, match="docker has no buildx"):
        engine.require_buildx()


def test_a_buildx_that_will_do(monkeypatch, tmp_path):
    _stub(monkeypatch, tmp_path, "echo 'github.com/docker/buildx 0.29.1+ds1 0.29.1+ds1-4'")
    assert engine.require_buildx() == "0.29.1+ds1"


def test_no_docker_at_all(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EnvironmentUnfit, match="no docker command"):
        engine.require_buildx()


@pytest.mark.parametrize(
    ("text", "version"), [("v0.29.1+ds1", (0, 29, 1)), ("28.5.2+dfsg4", (28, 5, 2)), ("27.3", (27, 3)), ("dev", (0,))]
)
def test_versions(text, version):
    assert version_of(text) == version


def test_checks_run_side_by_side_and_ask_the_engine_once(monkeypatch):
    together = threading.Barrier(3, timeout=10)
    connections = []

    def connect(_context):
        connections.append("client")
        time.sleep(0.05)  # long enough for another check to ask meanwhile
        return "client"

    def check(name, _subject, connection):
        together.wait()  # breaks unless all of them run at the same time
        yield ok(name, connection.client)

    monkeypatch.setattr("bake.doctor.finding.connect", connect)
    monkeypatch.setattr(Engine, "close", lambda _: None)
    monkeypatch.setattr(doctor, "CHECKS", tuple((name, partial(check, name)) for name in ("c", "a", "b")))
    known = BuilderFacts(name="default", driver="docker", nodes=(NODE,))
    findings = run_checks(Subject(known_builder=known))
    assert [(finding.check, finding.message) for finding in findings] == [(name, "client") for name in ("c", "a", "b")]
    assert connections == ["client"]


def test_what_was_found_before_a_failure_counts_too(monkeypatch):
    def check(*_):
        yield ok("base", "one")
        raise EnvironmentUnfit("two")

    monkeypatch.setattr(doctor, "CHECKS", (("base", check),))
    assert [finding.message for finding in run_checks(Subject())] == ["one", "two"]


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    def broken(*_):
        raise TypeError

    monkeypatch.setattr(doctor, "CHECKS", (("engine", broken),))
    with pytest.raises(TypeError):
        run_checks(Subject())


def test_a_usage_error_is_a_finding(monkeypatch):
    def wrong(*_):
        raise UsageError("wrong", where="x", remedy="mend")

    monkeypatch.setattr(doctor, "CHECKS", (("base", wrong),))
    (finding,) = run_checks(Subject())
    assert (finding.message, finding.remediation) == ("x: wrong", "mend")


def _stub(monkeypatch, folder, script):
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
