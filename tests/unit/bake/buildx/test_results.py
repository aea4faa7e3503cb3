from __future__ import annotations

import json
from pathlib import Path

import pytest

from bake.buildx import results
from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.errors import Interrupted, UsageError
from bake.progress.events import State

METADATA = {
    "c": {
        "containerimage.digest": "sha256:dbe6",
        "containerimage.config.digest": "sha256:1da7",
        "image.name": "127.0.0.1:5917/t/c:1,127.0.0.1:5917/t/c:2",
        "buildx.build.ref": "default/default/x",
    }
}


@pytest.fixture
def recorded(replay, tmp_path):
    def record(name="success", state=State.DONE, failure=None, **values):
        progress, _ = replay(name)
        outcome = BakeOutcome(
            request=BakeRequest(file=Path("docker-bake.hcl"), variables={"TOKEN": "hunter2"}, push=True, **values),
            state=state,
            started=1_795_443_780.0,
            completed=1_795_443_790.5,
            steps=progress.steps,
            metadata=METADATA,
            failure=failure,
        )
        path = results.record(outcome, recipe="demo", folder=tmp_path / "build", sizes={"c": 42})
        return path, results.load(tmp_path / "build")

    return record


def test_the_record_has_what_reports_need(recorded):
    path, read = recorded()
    data = json.loads(path.read_text())
    assert {key: data[key] for key in ("schema", "recipe", "state", "seconds", "requested", "pushed", "failure")} == {
        "schema": 1,
        "recipe": "demo",
        "state": "done",
        "seconds": 10.5,
        "requested": ["default"],
        "pushed": True,
        "failure": None,
    }
    assert data["started"] == "2026-11-23T14:23:00.000000+00:00"
    image = data["targets"]["c"]
    assert (image["digest"], image["size"], image["tags"]) == (
        "sha256:dbe6",
        42,
        ["127.0.0.1:5917/t/c:1", "127.0.0.1:5917/t/c:2"],
    )
    assert read.digest_of("c") == "sha256:dbe6"
    assert read.digest_of("a") is None
    assert read.targets == ("base", "a", "b", "c")


def test_no_variable_gets_into_it(recorded):
    path, _ = recorded()
    assert "hunter2" not in path.read_text()
    assert "TOKEN" not in path.read_text()


def test_own_and_shared_steps(recorded):
    _, read = recorded()
    own = [step.name for step in read.steps_of("c") if step.kind == "instruction"]
    assert len(own) == 2
    shared = [step for step in read.steps_of("c", shared=True) if step.shared_with == "a"]
    assert {"2/3 RUN echo three"} <= {step.name for step in shared}
    assert read.steps_of("nothing") == ()


def test_overlap_proves_that_targets_ran_side_by_side(recorded):
    _, read = recorded()
    assert 0.9 < read.overlap("a", "b") < 2.5
    assert read.overlap("a", "b") == read.overlap("b", "a")
    assert read.overlap("a", "c") == 0
    assert read.overlap("a", "a") == pytest.approx(sum(end - start for start, end in read.busy("a")))


def test_the_export_that_follows_a_build_keeps_its_times(replay):
    def outcome(name):
        return BakeOutcome(
            request=BakeRequest(file=Path("x")), state=State.DONE, started=1.0, completed=9.0,
            steps=replay(name)[0].steps, metadata={},
        )  # fmt: skip

    built, exported = outcome("success"), outcome("push")
    assert {step.digest for step in built.steps} != {step.digest for step in exported.steps}
    both = results.joined(built, exported)
    runs = [step for step in both.steps if step.label == "RUN echo three" and step.target == "a"]
    assert [(step.cached, step.state) for step in runs] == [(False, State.DONE)]
    labels = [step.label for step in both.steps if step.target == "b"]
    assert "exporting cache to registry" in labels


def test_cached_steps_overlap_nothing(recorded):
    _, read = recorded("cached")
    assert read.overlap("a", "b") == 0
    assert {step.cached for step in read.steps_of("b") if step.kind == "instruction"} == {True}


def test_a_cancelled_bake_is_recorded_too(recorded):
    path, _ = recorded("failure", State.CANCELLED, Interrupted("the build was cancelled by SIGINT"))
    data = json.loads(path.read_text())
    assert data["state"] == "cancelled"
    assert data["failure"] == {"exit_status": 130, "text": "the build was cancelled by SIGINT"}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, "{", '{"schema": 99}', "[]"])
def test_unreadable_records(tmp_path, content):
    if content is not None:
        (tmp_path / results.FILE_NAME).write_text(content)
    with pytest.raises(UsageError) as caught:
        results.load(tmp_path)
    assert "bake first" in (caught.value.remedy or "")
