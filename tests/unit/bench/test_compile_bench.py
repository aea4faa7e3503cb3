from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "bench/compile.py"


@pytest.fixture
def bench() -> Any:
    """The script as Python finds it on a machine without this project: by its file."""
    spec = importlib.util.spec_from_file_location("bench_compile", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def way(**changed: Any) -> dict[str, Any]:
    figures = {"seconds": 250.0, "cpu_seconds": 3200.0, "cpu_over_cores": 200.0, "ratio": 1.25, "peak_memory": 31e9}
    return {"status": 0, "stopped": False, **figures, "most_compilers": 16, "settings": ["16 jobs"], **changed}


def test_the_places_of_the_script_can_be_moved(bench: Any, tmp_path: Path) -> None:
    script = bench.load(bench.SCRIPT)
    for name, value in bench.places(tmp_path, Path("/cuda")).items():
        assert hasattr(script, name), name
        setattr(script, name, value)
    (tmp_path / "bin").mkdir()
    assert script.wrapper("c++", f"{script.LAUNCHER}/usr/bin/c++").parent == tmp_path / "bin"
    assert "ccache" not in (tmp_path / "bin/c++").read_text()


def test_builds_see_no_compiler_cache_and_none_of_the_shells_settings(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"/usr/lib/ccache{os.pathsep}/usr/bin")
    monkeypatch.setenv("MAX_JOBS", "3")
    chosen = argparse.Namespace(archs="9.0;12.0", define=["WITH_X=1"])
    environment = bench.environment(Path("/cuda"), chosen)
    assert "MAX_JOBS" not in environment
    assert environment["PATH"].split(os.pathsep)[1:] == ["/cuda/bin", "/usr/bin"]
    assert (environment["TORCH_CUDA_ARCH_LIST"], environment["WITH_X"]) == ("9.0;12.0", "1")


def test_the_table_says_what_was_not_done(bench: Any) -> None:
    text = bench.table({"default": way(stopped=True, status=-9), "ours": way()})
    assert "| default | > 250 s |" in text
    assert "| ours | 250 s | 3200 s | 200 s | 1.25 | 31.0 GB | 16 | 16 jobs |" in text
    assert bench.sentence(way()) == "250 s wall, 3200 CPU seconds, 1.25 × CPU ÷ cores (200 s)"
    assert bench.sentence(way(status=1)) == "failed with status 1"


def test_an_archive_that_is_not_there_is_said(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.find_sdist(tmp_path)
    assert ended.value.code == 3
    assert "holds 0 archives" in capsys.readouterr().err
