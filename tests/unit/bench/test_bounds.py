from __future__ import annotations

import copy
from typing import Any

import pytest

from bake.buildx.results import Results
from tests.bench import bounds, report


def step(start: int, end: int, *, kind: str = "instruction", cached: bool = False, shared: str = "") -> dict[str, Any]:
    at = "2026-01-01T00:{:02d}:{:02d}+00:00"
    return {
        "name": "RUN",
        "kind": kind,
        "state": "done",
        "started": at.format(*divmod(start, 60)),
        "completed": at.format(*divmod(end, 60)),
        "seconds": end - start,
        "cached": cached,
        "shared_with": shared,
        "error": "",
    }


def record(**targets: list[dict[str, Any]]) -> Results:
    return Results({"targets": {name: {"steps": steps} for name, steps in targets.items()}})


def test_the_critical_path_is_the_longest_chain_and_not_the_sum() -> None:
    results = record(
        base=[step(0, 10)],
        short=[step(10, 12)],
        long=[step(10, 40)],
        image=[step(40, 45), step(45, 48, kind="export")],
    )
    path = bounds.critical_path(results, {"short": ["base"], "long": ["base"], "image": ["short", "long"]})
    assert path.targets == ("base", "long", "image")
    assert path.seconds == 48


def test_nobody_waits_for_the_export_of_a_target_on_the_way() -> None:
    results = record(torch=[step(0, 10), step(10, 40, kind="export")], wheel=[step(10, 60)])
    path = bounds.critical_path(results, {"wheel": ["torch"]})
    assert (path.targets, path.seconds) == (("torch", "wheel"), 60)


def test_stages_side_by_side_count_once_and_what_another_target_ran_not_at_all() -> None:
    results = record(both=[step(0, 10), step(5, 15), step(0, 60, shared="base")], base=[step(0, 1)])
    assert bounds.own_seconds(results, "both") == 15


def test_cached_targets_are_no_part_of_what_ran() -> None:
    results = record(old=[step(0, 10, cached=True)], new=[step(0, 10)], sent=[step(0, 3, kind="export")])
    assert bounds.executed(results) == {"new": 10}
    assert bounds.critical_path(results, {"new": ["old"]}).seconds == 10


RUNS: list[dict[str, Any]] = [
    {"way": "guide", "scenario": "cold", "round": 1, "seconds": 1000.0, "cpu_seconds": 1100, "bytes": {"added": 9e9}},
    {"way": "guide", "scenario": "cold", "round": 2, "seconds": 1200.0, "cpu_seconds": 1100, "bytes": {"added": 9e9}},
    {
        "way": "ours",
        "scenario": "cold",
        "round": 1,
        "seconds": 550.0,
        "cpu_seconds": 800.0,
        "critical_path": {"targets": ["torch", "image"], "seconds": 300.0},
        "bytes": {"added": 6.3e9, "needed": 6e9},
    },
    {"way": "ours", "scenario": "nothing changed", "round": 1, "seconds": 2.0, "cpu_seconds": 1.0},
]


def ratios(cores: int) -> dict[tuple[str, str], tuple[float, bool]]:
    return {(row.what, row.bound): (round(row.ratio, 3), row.reached) for row in bounds.rows(RUNS, cores)}


def test_rounds_count_by_their_median() -> None:
    assert ratios(2)["cold bake", "the guide's way"] == (0.5, True)


def test_the_bound_is_the_larger_of_critical_path_and_cpu_over_cores() -> None:
    assert ratios(2)["cold bake", "CPU 800 s ÷ 2 cores"] == (1.375, False)
    assert ratios(16)["cold bake", "critical path 300 s"] == (1.833, False)


def test_bytes_have_a_bound_of_their_own() -> None:
    assert ratios(2)["bytes added to the base", "new packages + models + patched files"] == (1.05, True)
    assert ratios(2)["bytes added to the base", "the guide's way"] == (0.7, True)


def test_what_was_not_measured_has_no_row() -> None:
    whats = {what for what, _ in ratios(2)}
    assert "nothing changed" in whats
    assert not {"fresh runner, warm registry", "conversion changed", "bytes pushed"} & whats


@pytest.fixture
def document() -> dict[str, Any]:
    place = {"cores": 2, "processor": "a", "memory": 8e9, "engine": "28", "load_before": 0.1}
    return report.document("demo", "base:1", {**place, "cpu_and_memory_of": "all", "gpu": "none"}, copy.deepcopy(RUNS))


def test_the_tables_for_people_say_what_is_not_reached(document: dict[str, Any]) -> None:
    for run, seconds in zip(document["runs"], (5.0, 6.0), strict=False):
        run["steps"] = [{"name": "torch", "seconds": seconds, "cpu_seconds": 4.0, "peak_memory": None}]
    document["runs"].append(
        {"way": "guide", "scenario": "verify", "round": 1, "rows": 3, "failed": [{"check": "a|b", "subject": "c"}] * 2}
    )
    text = report.markdown(document)
    assert "| cold bake | 550.0 s | CPU 800 s ÷ 2 cores | 1.38 | ≤ 1.25 | **no** |" in text
    assert "| cold bake | 550.0 s | the guide's way: 1100.0 s | 0.50 | ≤ 0.55 | yes |" in text
    assert "| torch | 6.0 s | 4.0 s | – |" in text
    assert "300 s: torch → image" in text
    assert "| 1 | guide | 3 | 2 × a\\|b: c |" in text


def test_a_ratio_that_got_worse_by_more_than_a_tenth_is_a_regression() -> None:
    def table(cold: float, limit: float, path: int, seconds: float) -> list[dict[str, Any]]:
        figures = (
            ("cold bake", cold, "the guide's way"),
            ("cold bake", limit, f"critical path {path} s"),
            ("nothing changed", seconds, bounds.AT_MOST),
        )
        return [
            bounds.Row(what=what, value=value, unit="s", against=100.0, bound=bound, most=1.0).as_data()
            for what, value, bound in figures
        ]

    saved = table(50, 100, 1052, 100)
    assert bounds.worse(table(54, 109, 900, 200), saved) == []
    assert bounds.worse(table(56, 115, 900, 100), saved) == [
        "cold bake, against the guide's way: 0.56, and 0.50 in the saved run",
        "cold bake, against its limit: 1.15, and 1.00 in the saved run",
    ]
    assert bounds.worse(table(56, 115, 900, 100), []) == []
