from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import bytecode, export


def step(seconds: float, cpu: float) -> dict[str, Any]:
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_memory": None, "flushed_seconds": 0.1}


def record(**changed: Any) -> dict[str, Any]:
    steps = {"made": step(30, 50), "loaded": step(12, 11), "sent": step(4, 3), "pulled": step(20, 22)}
    sizes = {"registry_bytes": 1_250_000_000, "engine_bytes": 3_250_000_000, "bytes_as_zstd": 600}
    return {
        "store": "containerd",
        "variant": "zstd-3",
        "form": "compression=zstd",
        "failed": "",
        **steps,
        **sizes,
        **changed,
    }


def facts(runs: list[dict[str, Any]]) -> dict[str, Any]:
    place = {
        "cores": 2,
        "processor": "P",
        "memory": 24e9,
        "engine": "28",
        "load_before": 0.1,
        "cpu_and_memory_of": "a group",
    }
    return export.document({"folders": ["torch"], "files": 9, "bytes": 2_000_000_000}, {**place, "gpu": "none"}, runs)


def test_a_load_and_a_push_are_the_blob_and_what_comes_after_it() -> None:
    line = export._line(record())
    assert line == (
        *("containerd", "zstd-3", "30 s", "12 s", "4 s", "20 s"),
        *("42 s", "61 s", "34 s", "53 s", "40 s"),  # 1.25 GB take 10 s at 1 Gbit/s
        *("1.25 GB", "3.25 GB", "0.00 GB"),
    )
    assert len(line) == len(export.HEAD)


def test_a_line_that_is_faster_than_the_registry_saves_nothing() -> None:
    assert export.over_a_line(record(), rate=1e12) == 34


def test_what_was_not_run_is_no_figure() -> None:
    failed = record(failed="unknown option")
    for name in ("loaded", "sent", "pulled", "registry_bytes", "engine_bytes", "bytes_as_zstd"):
        del failed[name]
    assert export.total(failed, ("made", "loaded")) is None
    assert export._line(failed)[3:] == ("–",) * 11
    text = export.markdown(facts([record(), failed]))
    assert text.splitlines()[-1] == "containerd, zstd-3: unknown option"


def test_results_name_no_folder_of_the_machine_and_no_gpu() -> None:
    data = facts([record()])
    assert "gpu" not in data["machine"]
    assert "(torch)" in export.markdown(data)
    json.dumps(data)


def test_unknown_forms_and_stores_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        export.options(["--image", "x", "--path", "/x", "--variant", "lz4"])
    assert "invalid choice: 'lz4'" in capsys.readouterr().err


def test_compiled_files_count_beside_those_that_were_there() -> None:
    files = {
        "before": {"files": 10, "bytes": 1_000_000, "compressed": 400_000},
        "imported": {"files": 110, "bytes": 3_000_000, "compressed": 1_400_000},
        "all": {"files": 510, "bytes": 11_000_000, "compressed": 4_400_000},
    }
    times = {"without": [9.0, 1.0, 2.0], "writing": [3.0], "with": [1.0]}
    place = {"cores": 2, "processor": "P", "engine": "28", "load_before": 0.1}
    data = {"machine": place, "modules": ["torch"], "import_seconds": times, "compile_seconds": 12.0, "files": files}
    lines = bytecode.markdown(data).splitlines()
    assert lines[-3:] == [
        "| no .pyc, none written | 2.00 s | – | – | – | – |",
        "| the first import writes them | 3.00 s | – | 100 | 2.0 MB | 1.0 MB |",
        "| all packages compiled | 1.00 s | 12.0 s | 500 | 10.0 MB | 4.0 MB |",
    ]


def test_the_script_counts_compiled_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "package/__pycache__"
    folder.mkdir(parents=True)
    (folder / "x.pyc").write_bytes(bytes(1000))
    (tmp_path / "package/x.py").write_bytes(bytes(5000))
    script = bytecode.COUNT.replace('sysconfig.get_path("purelib")', repr(str(tmp_path)))
    exec(compile(script, "count", "exec"), {})
    count, size, compressed = (int(word) for word in capsys.readouterr().out.split())
    assert (count, size) == (1, 1000)
    assert 0 < compressed < 1000
