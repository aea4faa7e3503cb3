"""The report as data: one clock, the critical path, busy seconds, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.report import make_report
from generator.report.critical import critical_path
from generator.report.spans import Span
from tests.unit.generator.report.conftest import DEMO_LINKS, recorded, step

LINKS = {
    "torch": frozenset(),
    "wheel": frozenset({"torch"}),
    "patch": frozenset(),
    "image": frozenset({"wheel", "patch"}),
}


def _small(**more):
    return recorded(
        {
            "torch": [step("install", 1, 11)],
            "patch": [step("codemod", 1, 3)],
            "wheel": [step("source", 1, 4), step("compile", 12, 32)],
            "image": [step("merge", 32, 33), step("exporting to image", 33, 38, kind="export")],
        },
        seconds=40,
        **more,
    )


def test_the_path_is_the_chain_that_determined_the_end():
    report = make_report(_small(), LINKS)

    assert [(entry.target, entry.name, entry.seconds) for entry in report.path] == [
        ("torch", "install", 10),
        ("wheel", "compile", 20),
        ("image", "merge", 1),
        ("image", "exporting to image", 5),
    ]
    assert [entry.wait for entry in report.path] == [1, 1, 0, 0]
    assert report.bounds.critical_path == 36


def test_a_step_waits_only_for_what_its_target_needs():
    late = recorded({"a": [step("one", 0, 5)], "b": [step("two", 0, 9)], "c": [step("three", 9.5, 12)]}, seconds=12)

    path = make_report(late, {"c": frozenset({"a"}), "a": frozenset(), "b": frozenset()}).path

    assert [entry.target for entry in path] == ["a", "c"]
    assert path[-1].wait == pytest.approx(4.5)


def test_without_links_any_step_that_ended_before_counts():
    late = recorded({"a": [step("one", 0, 5)], "b": [step("two", 0, 9)], "c": [step("three", 9.5, 12)]}, seconds=12)

    assert [entry.target for entry in make_report(late, None).path] == ["b", "c"]


def test_publishing_waits_for_verification_though_no_link_says_so():
    done = recorded(
        {
            "image": [step("merge", 0, 2), step("exporting to image", 10, 12, kind="export")],
            "verify": [step("check", 2, 9.9)],
        },
        seconds=12,
    )

    path = make_report(done, {"image": frozenset(), "verify": frozenset({"image"})}).path

    assert [entry.name for entry in path] == ["merge", "check", "exporting to image"]


def test_cached_steps_are_on_no_path_and_make_no_target_busy():
    cached = recorded({"torch": [step("install", 0, 0.2, state="cached")]}, seconds=1)
    report = make_report(cached, LINKS)

    assert report.path == ()
    assert report.bounds.ratio is None
    assert [(line.busy, line.ran, line.cached) for line in report.targets] == [(0, 0, 1)]


def test_a_clock_that_runs_late_is_set_back():
    """buildx moved all of torch's times by half a second; the step that both name tells."""
    shifted = recorded(
        {
            "tools": [step("fetch", 0, 2)],
            "torch": [step("fetch", 0.5, 2.5, shared_with="tools"), step("install", 2.6, 8.6)],
        },
        seconds=9,
    )

    report = make_report(shifted, {"tools": frozenset(), "torch": frozenset({"tools"})})

    install = next(span for span in report.spans if span.name == "install")
    assert install.start == pytest.approx(2.1)
    assert install.end == pytest.approx(8.1)
    assert report.path[-1].wait == pytest.approx(0.1)


def test_a_merge_lasts_as_long_as_the_target_that_needed_it_says():
    lazy = recorded(
        {
            "image": [step("LINK COPY", 1, 1.1)],
            "verify": [step("LINK COPY", 1, 13, shared_with="image"), step("check", 13, 20)],
        },
        seconds=20,
    )

    path = make_report(lazy, {"image": frozenset(), "verify": frozenset({"image"})}).path

    assert [(entry.target, entry.seconds) for entry in path] == [("image", pytest.approx(12)), ("verify", 7)]


def test_busy_counts_steps_side_by_side_once():
    both = recorded({"toolchain": [step("a", 0, 10), step("b", 5, 12), step("c", 20, 21)]}, seconds=21)

    assert make_report(both, None).targets[0].busy == 13


def test_the_bound_is_the_larger_of_path_and_cpu_share():
    with_cpu = make_report(_small(cpu={"seconds": 156.0, "cores": 4}), LINKS).bounds
    without = make_report(_small(), LINKS).bounds

    assert with_cpu.bound == 39.0
    assert with_cpu.ratio == pytest.approx(40 / 39)
    assert (without.bound, without.cpu_seconds) == (36, None)


def test_wheels_keep_origin_and_hits():
    wheels = {
        "wheel-a": {"key": "k", "origin": "compiled", "reference": "", "compiler_cache": {"hits": 3, "calls": 4}},
        "wheel-b": {"key": "l", "origin": "store", "reference": "r@sha256:0"},
    }

    first, second = make_report(_small(wheels=wheels), LINKS).wheels

    assert (first.origin, first.hits, first.calls) == ("compiled", 3, 4)
    assert (second.origin, second.hits, second.reference) == ("store", None, "r@sha256:0")


def test_the_path_of_a_real_bake(demo):
    report = make_report(demo, DEMO_LINKS)

    assert [entry.target for entry in report.path if entry.seconds > 5] == [
        "torch",
        "wheel-torch-spline-conv",
        "image",
        "verify",
        "image",
    ]
    assert report.bounds.critical_path == pytest.approx(884.1, abs=0.5)
    assert report.wall == pytest.approx(895.7, abs=0.1)
    assert all(later.start >= sooner.start for sooner, later in zip(report.path, report.path[1:], strict=False))


@st.composite
def _spans(draw):
    count = draw(st.integers(1, 25))
    spans = []
    for number in range(count):
        start = draw(st.floats(0, 100))
        length = draw(st.floats(0, 30))
        spans.append(
            Span(
                target=draw(st.sampled_from("abc")),
                name=str(number),
                kind=draw(st.sampled_from(["instruction", "export"])),
                start=start,
                end=start + length,
                cached=draw(st.booleans()),
                state="done",
            )
        )
    return spans


@given(_spans(), st.sampled_from([None, {"a": frozenset("b"), "b": frozenset(), "c": frozenset("ab")}]))
def test_the_path_is_never_longer_than_the_bake_and_each_step_follows_the_last(spans, needs):
    path = critical_path(spans, needs)
    ran = [span for span in spans if not span.cached and span.end > span.start]

    assert bool(path) == bool(ran)
    end = max((span.end for span in ran), default=0.0)
    assert sum(entry.wait + entry.seconds for entry in path) == pytest.approx(end)
    reached = 0.0
    for entry in path:
        assert entry.wait >= 0
        assert entry.start >= reached - 1e-9
        reached = entry.start + entry.seconds
