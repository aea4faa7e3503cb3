from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench import meter
from tests.bench.processes import Call, Watch, describe, most_at_once

STAT = "cpu  100 10 50 900 30 5 5 0 0 0\ncpu0 1 1 1 1\n"


def test_busy_time_leaves_idle_and_waiting_out() -> None:
    assert meter.busy_seconds(STAT, 100) == 1.7


def test_tables_are_read_with_their_units() -> None:
    assert meter.parse_table("MemAvailable:   2 kB\nanon 7\nslab x\n") == {"MemAvailable": 2048, "anon": 7}


def version_2(root: Path) -> meter.Group:
    (root / "cgroup.controllers").write_text("cpu memory\n")
    group = meter.Group("bench", root)
    (root / "bench/cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (root / "bench/memory.stat").write_text("anon 100\nfile 900\nshmem 5\n")
    return group


def test_a_group_of_version_2_counts_no_page_cache(tmp_path: Path) -> None:
    group = version_2(tmp_path)
    assert (group.version, group.cpu_seconds(), group.memory()) == (2, 2.5, 105)


def test_a_group_of_version_1_counts_all_below_it(tmp_path: Path) -> None:
    for part in ("cpuacct", "memory"):
        (tmp_path / part).mkdir()
    group = meter.Group("bench", tmp_path)
    (tmp_path / "cpuacct/bench/cpuacct.usage").write_text("1500000000\n")
    (tmp_path / "memory/bench/memory.stat").write_text("rss 1\ntotal_rss 40\ntotal_shmem 2\ntotal_cache 900\n")
    assert (group.version, group.cpu_seconds(), group.memory()) == (1, 1.5, 42)


def test_processes_are_taken_into_a_leaf(tmp_path: Path) -> None:
    group = version_2(tmp_path)
    group.adopt([12])
    assert (tmp_path / "bench/daemon/cgroup.procs").read_text() == "12"


def test_where_no_group_can_be_made_the_whole_machine_is_measured(tmp_path: Path) -> None:
    found = meter.make_group("bench", tmp_path / "absent")
    assert isinstance(found, meter.Machine)
    assert "whole machine" in found.source


def test_the_work_of_clients_is_measured() -> None:
    with meter.Meter().measured() as cost:
        subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert cost.seconds > 0
    assert cost.cpu_seconds > 0
    assert cost.available > 0
    assert cost.memory is None


def test_compiler_calls_are_told_from_what_they_start() -> None:
    assert describe(["/usr/local/cuda/bin/nvcc", "-I", "x", "-c", "/src/csrc/knn.cu", "-o", "knn.o"]) == (
        "nvcc",
        "knn.cu",
        "",
    )
    assert describe(["c++", "-shared", "a.o", "-o", "a.so"]) is None
    assert describe(["python3", "-c", "x.cu"]) is None
    made = "/tmp/tmpxft_00006ed5_00000000-6_knn.compute_120.cudafe1.cpp"
    assert describe(["gcc", "-c", made]) is None
    assert describe(["cc1plus", made]) == ("cc1plus", "knn", "")
    assert describe(["ptxas", "-arch=sm_90", "/tmp/tmpxft_0000a_00000000-9_knn.ptx"]) == ("ptxas", "knn", "90")
    assert describe(["cicc", "-arch", "compute_80", "--x", "tmpxft_00a_0-6_k.compute_120.cudafe1.c", "k.cu"]) == (
        "cicc",
        "k.cu",
        "80",
    )


def call(program: str, started: float, ended: float) -> Call:
    return Call(pid=1, program=program, source="", arch="", started=started, ended=ended)


def test_calls_at_once_are_counted_by_kind() -> None:
    calls = [call("nvcc", 0, 5), call("c++", 1, 2), call("nvcc", 4, 6), call("cicc", 0, 9)]
    assert most_at_once(calls, ("nvcc", "c++")) == 2
    assert most_at_once(calls, ("cicc",)) == 1
    assert most_at_once([], ("cicc",)) == 0


def test_the_process_table_shows_each_call_with_its_source(tmp_path: Path) -> None:
    """Stand-ins bear the names of compilers; a compiler's own child of the same name is no call of its own."""
    (tmp_path / "nvcc").symlink_to(sys.executable)
    script = tmp_path / "compile.py"
    script.write_text(
        "import subprocess, sys, time\n"
        "if len(sys.argv) == 3: subprocess.Popen([sys.orig_argv[0], *sys.orig_argv[1:], 'again']).wait()\n"
        "else: time.sleep(1)\n"
    )
    commands = [[str(tmp_path / "nvcc"), str(script), "-c", name] for name in ("one.cu", "two.cu")]
    code = "import subprocess, sys\nfor words in {!r}: subprocess.Popen(words).wait()\n".format(commands)  # noqa: UP032
    process = subprocess.Popen([sys.executable, "-c", code])
    with Watch(process.pid) as watch:
        assert process.wait(60) == 0
    assert [(found.program, found.source) for found in watch.calls] == [("nvcc", "one.cu"), ("nvcc", "two.cu")]
    assert watch.calls[0].ended < watch.calls[1].started
    assert most_at_once(watch.calls, ("nvcc",)) <= 2
    assert watch.memory > 0
