from __future__ import annotations

import base64
import json

from bake.bakefile import BakeFile
from bake.progress.events import State, StepAnnounced, StepBytes, StepEnded, StepKind, StepLog, StepStarted, Text
from bake.progress.facts import Fact
from bake.progress.state import LOG_LINES_KEPT, Progress


def states(progress):
    return {target.name: target.state for target in progress.targets()}


def test_parallel_targets_end_done(replay):
    progress, events = replay("success")
    assert states(progress) == dict.fromkeys(("base", "a", "b", "c"), State.DONE)
    assert progress.failed() == ()
    assert {step.label for step in progress.steps if step.target == "a" and not step.shared} >= {
        "RUN echo three",
        "RUN echo one && busybox sleep 1 && echo two",
    }
    spans = {
        step.label: (step.started, step.completed)
        for step in progress.steps
        if step.label.startswith("RUN") and not step.shared
    }
    first, second = spans["RUN echo one && busybox sleep 1 && echo two"], spans["RUN busybox sleep 2; echo b-done"]
    assert max(first[0], second[0]) < min(first[1], second[1])
    said = {event.line for event in events if isinstance(event, StepLog) and event.step.owner == "c"}
    assert said == {"building c", "boom"}


def test_names_are_taken_apart(replay):
    progress, _ = replay("success")
    step = next(step for step in progress.steps if step.name.startswith("[b work 1/2]"))
    assert (step.target, step.stage, step.position, step.kind) == ("b", "work", (1, 2), StepKind.INSTRUCTION)
    assert step.title == "work 1/2 RUN busybox sleep 2; echo b-done"
    export = next(step for step in progress.steps if step.label == "exporting to image")
    assert (export.target, export.kind) == ("c", StepKind.EXPORT)
    load = next(step for step in progress.steps if step.name == "[a internal] load .dockerignore")
    assert (load.target, load.kind) == ("a", StepKind.INTERNAL)
    bake = next(step for step in progress.steps if step.label == "load local bake definitions")
    assert bake.target == ""


def test_a_shared_step_stands_once_per_target_and_belongs_to_the_one_that_others_need(replay):
    progress, _ = replay("success")
    shared = [step for step in progress.steps if step.label == "RUN echo three"]
    assert sorted(step.target for step in shared) == ["a", "c"]
    assert {step.owner for step in shared} == {"a"}
    assert {target.name: (target.done, target.total) for target in progress.targets()}["c"] == (4, 4)


def test_owner_moves_when_a_dependent_is_announced_first():
    names = BakeFile(variables=(), targets=("a", "c"), groups=(), links={"c": frozenset({"a"})})
    progress = Progress(names=names)
    for name in ("[c internal] load build definition from x", "[c 1/2] RUN x", "[a 1/2] RUN x"):
        events = progress.feed(
            json.dumps({"vertexes": [{"digest": name[-5:], "name": name, "started": "2026-01-01T00:00:00Z"}]}), now=0
        )
    assert {step.owner for step in progress.steps if step.label == "RUN x"} == {"a"}
    announced = [event.step.name for event in events if isinstance(event, StepAnnounced)]
    assert announced == ["[c 1/2] RUN x", "[a 1/2] RUN x"]


def test_a_cancelled_fetch_from_the_cache_is_no_run():
    step = {"digest": "sha256:1", "name": "[a 1/2] RUN x", "started": "2026-01-01T00:00:00Z", "cached": True}
    ended = {**step, "completed": "2026-01-01T00:00:01Z"}
    cancelled = {**ended, "error": "failed to get record x by blobchainid: context canceled"}

    def told(*reports):
        progress = Progress(names=BakeFile(variables=(), targets=("a", "c"), groups=(), links={}))
        events = [event for report in reports for event in progress.feed(json.dumps({"vertexes": [report]}), now=0)]
        assert not [event for event in events if isinstance(event, StepStarted)]
        before = progress.steps[0].state
        progress.settle(1)
        return before, progress.steps[0].state

    assert told(step, cancelled) == (State.CANCELLED, State.CACHED)
    assert told(step, cancelled, ended) == (State.CACHED, State.CACHED)
    assert told(step, ended, cancelled) == (State.CACHED, State.CACHED)


def test_a_step_that_runs_after_its_fetch_was_cancelled_has_run():
    step = {"digest": "sha256:1", "name": "[a 1/2] RUN x", "started": "2026-01-01T00:00:00Z"}
    ended = {**step, "completed": "2026-01-01T00:00:01Z"}
    progress = Progress(names=BakeFile(variables=(), targets=("a", "c"), groups=(), links={}))
    error = "context canceled"
    for report in ({**ended, "cached": True, "error": error}, step, {**ended, "error": error}):
        progress.feed(json.dumps({"vertexes": [report]}), now=0)
    progress.settle(1)
    assert progress.steps[0].state is State.DONE


def test_failure_and_cancelled_siblings(replay):
    progress, _ = replay("failure", ("image",))
    assert [(step.target, step.position) for step in progress.failed()] == [("bad", (2, 3))]
    assert states(progress)["bad"] is State.FAILED
    assert states(progress)["slow"] is State.CANCELLED
    assert states(progress)["image"] is State.WAITING
    digest = progress.failed()[0].digest
    assert set(progress.log_tail(digest)) == {"compiling knn.cu", "knn.cu(12): error: identifier undefined"}


def test_everything_cached(replay):
    progress, events = replay("cached")
    assert states(progress) == dict.fromkeys(("base", "a", "b", "c"), State.CACHED)
    ran = {
        event.step.label
        for event in events
        if isinstance(event, StepStarted) and event.step.kind is StepKind.INSTRUCTION
    }
    assert ran == set()


def test_a_missed_cache_import_is_no_failure(replay):
    progress, events = replay("push")
    assert progress.failed() == ()
    assert states(progress)["b"] in (State.CACHED, State.DONE)
    missed = [step for step in progress.steps if step.label.startswith("importing cache manifest")]
    assert missed
    assert "not found" in missed[0].error
    assert missed[0].kind is StepKind.CACHE
    assert any(isinstance(event, StepEnded) and event.step.label == "exporting to image" for event in events)


def test_the_single_target_form_has_no_target_name(replay):
    progress, _ = replay("single", ("base",))
    assert {target.name for target in progress.targets()} == {"base"}
    progress, _ = replay("single-failure", ("bad",))
    assert [step.target for step in progress.failed()] == ["bad"]


def test_a_stage_named_like_a_target_is_no_target_in_the_single_form():
    names = BakeFile(variables=(), targets=("torch", "image"), groups=())
    progress = Progress(names=names, requested=("image",))
    for name in ("[internal] load build definition from Dockerfile", "[torch 2/3] RUN x"):
        progress.feed(json.dumps({"vertexes": [{"digest": name, "name": name}]}), now=0)
    assert [(step.target, step.stage) for step in progress.steps][-1] == ("image", "torch")


def test_booting_a_builder_belongs_to_no_target():
    names = BakeFile(variables=(), targets=("t", "u"), groups=())
    progress = Progress(names=names)
    for name in ("[internal] booting buildkit", "[t internal] load build definition from x", "[internal] merging"):
        progress.feed(json.dumps({"vertexes": [{"digest": name, "name": name}]}), now=0)
    assert [step.target for step in progress.steps] == ["", "t", ""]


def test_platforms_are_no_stages():
    names = BakeFile(variables=(), targets=("t", "u"), groups=())
    progress = Progress(names=names)
    for name in ("[t internal] load x", "[t linux/amd64 work 2/3] RUN x", "[u linux/arm64->amd64 1/1] RUN y"):
        progress.feed(json.dumps({"vertexes": [{"digest": name, "name": name}]}), now=0)
    assert [(step.target, step.stage, step.position) for step in progress.steps[1:]] == [
        ("t", "work", (2, 3)),
        ("u", "", (1, 1)),
    ]


def _vertex(**values):
    return json.dumps({"vertexes": [{"digest": "d", "name": "[internal] load build definition", **values}]})


def _said(events):
    return [event.line for event in events if isinstance(event, StepLog)]


def _log(data, stamp):
    encoded = base64.b64encode(data).decode()
    return json.dumps({"logs": [{"vertex": "d", "stream": 1, "data": encoded, "timestamp": stamp}]})


def test_lines_in_pieces_come_whole_and_the_tail_is_bounded():
    progress = Progress(names=BakeFile(variables=(), targets=(), groups=()))
    progress.feed(_vertex(started="2026-01-01T00:00:00Z"), now=0)
    assert progress.feed(_log(b"ab", "1"), now=0) == []
    assert _said(progress.feed(_log(b"c\nd", "2"), now=0)) == ["abc"]
    ended = progress.feed(_vertex(started="2026-01-01T00:00:00Z", completed="2026-01-01T00:00:01Z"), now=0)
    assert _said(ended) == ["d"]
    progress.feed(_log(b"x\n" * 5000, "3"), now=0)
    assert len(progress.log_tail("d", 10_000)) == LOG_LINES_KEPT


def test_progress_bars_keep_their_last_state():
    progress = Progress(names=BakeFile(variables=(), targets=(), groups=()))
    progress.feed(_vertex(started="2026-01-01T00:00:00Z"), now=0)
    assert _said(progress.feed(_log(b"10%\r50%\r100%\r\n", "1"), now=0)) == ["100%"]


def test_colours_and_control_characters_are_left_out():
    progress = Progress(names=BakeFile(variables=(), targets=(), groups=()))
    progress.feed(_vertex(started="2026-01-01T00:00:00Z"), now=0)
    data = b"\x1b[1;31merror:\x1b[0m no\tkernel\x07 \x1b]0;title\x07image\n"
    assert _said(progress.feed(_log(data, "1"), now=0)) == ["error: no\tkernel image"]


def test_a_shared_steps_output_comes_once():
    progress = Progress(names=BakeFile(variables=(), targets=("a", "b"), groups=()))
    for name in ("[a internal] load", "[a 1/1] RUN x", "[b 1/1] RUN x"):
        progress.feed(json.dumps({"vertexes": [{"digest": "d", "name": name}]}), now=0)
    events = progress.feed(_log(b"hello\n", "1"), now=0) + progress.feed(_log(b"hello\n", "1"), now=0)
    assert len(events) == 1
    assert len(progress.feed(_log(b"hello\n", "2"), now=0)) == 1


def test_bytes_of_transfers_add_up():
    progress = Progress(names=BakeFile(variables=(), targets=(), groups=()))
    progress.feed(_vertex(), now=0)
    for part, current in (("one", 10), ("two", 5), ("one", 20)):
        line = {"statuses": [{"id": part, "vertex": "d", "current": current, "total": 20}]}
        events = progress.feed(json.dumps(line), now=0)
    assert [(event.step.current, event.step.total) for event in events if isinstance(event, StepBytes)] == [(25, 40)]


def test_plain_text_is_kept(replay):
    progress, events = replay("failure", ("image",))
    assert progress.text[0] == "Dockerfile.bad:4"
    assert sum(isinstance(event, Text) for event in events) == len(progress.text)


def test_of_a_fact_people_see_what_it_says():
    progress = Progress(names=BakeFile(variables=(), targets=(), groups=()))
    progress.feed(_vertex(started="2026-01-01T00:00:00Z"), now=0)
    line = b'{"uplift": "compiler-cache", "says": "1 of 3", "hits": 1}'
    (event,) = progress.feed(_log(line + b"\n", "1"), now=0)
    assert isinstance(event, StepLog)
    assert event.line == "1 of 3"
    assert event.fact == Fact(kind="compiler-cache", says="1 of 3", values={"hits": 1})
    assert progress.log_tail("d") == ("1 of 3",)
