from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import load

budget = load("wheel/budget.py")
GIB = 1 << 30


def chosen(cores: int, gib: float, *, known: float = 0, **options):
    costs = budget.Costs(sources={"a.cu": budget.Cost(cpu=1, memory=int(known * GIB))} if known else {})
    return budget.choose(budget.Machine(cores=cores, memory=int(gib * GIB)), costs, archs=4, **options)


def test_one_compiler_for_each_core_where_memory_holds_them():
    choice = chosen(16, 125)
    assert (choice.jobs, choice.workers, choice.threads) == (16, 16, 4)
    assert choice.why.startswith(
        "16 compilers at a time: 16 cores; free memory 125.0 GiB holds 41, 3.0 GiB each (not meas"
    )


def test_never_more_than_memory_holds():
    choice = chosen(16, 20)
    assert choice.workers == 6
    assert "free memory 20.0 GiB, 3.0 GiB each (not measured yet); 16 cores" in choice.why
    assert chosen(16, 1).workers == 1


def test_what_was_measured_decides_with_a_margin():
    assert chosen(16, 12, known=1).workers == 10
    assert chosen(16, 12, known=5).workers == 2
    assert "the largest of an earlier compile" in chosen(16, 12, known=1).why


def test_who_sets_a_number_gets_it():
    choice = chosen(16, 20, set_jobs="9", set_threads="2")
    assert (choice.jobs, choice.workers, choice.threads) == (9, 9, 2)
    assert choice.why.startswith("9 compilers at a time: MAX_JOBS; 2 of 4 archs")


def test_the_longest_measured_file_weighs_most_and_unknown_device_code_more():
    costs = budget.Costs(sources={"a.cpp": budget.Cost(cpu=50, memory=1), "b.cu": budget.Cost(cpu=400, memory=1)})
    weights = {source: budget.weight(source, costs) for source in ("x.cpp", "a.cpp", "b.cu", "new.cu")}
    assert sorted(weights, key=weights.__getitem__) == ["x.cpp", "a.cpp", "b.cu", "new.cu"]


def test_what_waits_for_a_precompiled_header_comes_last():
    assert budget.weight("a.cpp", budget.Costs(), prepared=True) < budget.weight("b.cpp", budget.Costs())


def test_costs_are_kept(tmp_path: Path):
    costs = budget.Costs(stack="torch 2", sources={"a.cu": budget.Cost(cpu=1.5, memory=7)})
    budget.write_costs(tmp_path / "new/costs.json", costs)
    assert budget.read_costs(tmp_path / "new/costs.json") == costs
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["costs.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stack": "x"}', '{"stack": "x", "sources": {"a": {"cpu": "x"}}}'])
def test_costs_that_can_not_be_read_are_none(tmp_path: Path, text: str):
    (tmp_path / "costs.json").write_text(text)
    assert budget.read_costs(tmp_path / "costs.json") == budget.Costs()


def call(pool: str, source: str, began: float, seconds: float, *, cpu: float = 0, memory: int = 0) -> dict[str, object]:
    return {"pool": pool, "source": source, "began": began, "seconds": seconds, "cpu": cpu, "memory": memory}


def test_what_came_from_the_compiler_cache_is_not_measured(tmp_path: Path):
    calls = [
        call("jobs", f"{tmp_path}/csrc/a.cu", 0, 9, cpu=30),
        call("workers", f"{tmp_path}/csrc/a.cu", 1, 5, memory=2 * GIB),
        call("workers", f"{tmp_path}/csrc/a.cu", 1, 4, memory=GIB),
        call("jobs", f"{tmp_path}/csrc/hit.cpp", 0, 1, cpu=1),
    ]
    assert budget.measured(calls, tmp_path) == {"csrc/a.cu": budget.Cost(cpu=30, memory=2 * GIB)}


def test_workers_that_follow_each_other_are_not_at_once():
    calls = [
        call("workers", "a", 0, 5),
        call("workers", "a", 5, 5),
        call("workers", "b", 6, 1),
        call("jobs", "b", 0, 9),
    ]
    assert budget.most_at_once(calls) == 2


def proc(folder: Path, gib: int) -> Path:
    (folder / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {gib << 20} kB\n")
    return folder


@pytest.mark.parametrize(
    ("files", "memory", "cores"),
    [
        ({}, 8, None),
        ({"cpu.max": "max 100000", "memory.max": "max", "memory.current": "5"}, 8, None),
        ({"cpu.max": "100000 100000", "memory.max": str(6 * GIB), "memory.current": str(2 * GIB)}, 4, 1),
        ({"memory/memory.limit_in_bytes": str(3 * GIB), "memory/memory.usage_in_bytes": str(GIB)}, 2, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 8, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, None),
    ],
)
def test_the_limits_of_the_control_group_hold(tmp_path: Path, files: dict[str, str], memory: int, cores: int | None):
    group = tmp_path / "group"
    for name, text in files.items():
        (group / name).parent.mkdir(parents=True, exist_ok=True)
        (group / name).write_text(text + "\n")
    found = budget.machine(proc(tmp_path, 8), group)
    assert found.memory == memory * GIB
    assert found.cores == (cores or budget.machine(proc(tmp_path, 8), tmp_path / "none").cores)


def test_costs_file_is_json_that_people_can_read(tmp_path: Path):
    budget.write_costs(tmp_path / "c.json", budget.Costs(stack="s", sources={"a.cu": budget.Cost(cpu=1, memory=2)}))
    assert json.loads((tmp_path / "c.json").read_text()) == {"stack": "s", "sources": {"a.cu": {"cpu": 1, "memory": 2}}}
