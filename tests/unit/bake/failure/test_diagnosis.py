from __future__ import annotations

import base64
import json
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bake.failure.causes import Speaker, causes, find_cause
from bake.failure.diagnosis import diagnose

HERE = Path(__file__).parent
LOGS = sorted((HERE / "logs").glob("*.txt"))
STREAMS = sorted((HERE.parent / "streams" / "errors").glob("*.jsonl"))


def found_in(path: Path) -> set[str]:
    with path.open() as lines:
        return {entry.known.id for entry in diagnose(lines).found}


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_real_log_is_told_as_its_cause(path: Path) -> None:
    expected = path.stem.partition("--")[0]
    with path.open() as lines:
        diagnosis = diagnose(lines)
    # A log that names a second cause ("no matching distribution", after the certificate) names the right one first.
    assert diagnosis.found[0].known.id == expected
    entry = diagnosis.found[0]
    assert path.read_text().splitlines()[entry.line - 1].strip()[:200].startswith(entry.text[:100])
    assert entry.known.remedy


def test_every_cause_has_its_real_text() -> None:
    recorded = {path.stem.partition("--")[0] for path in LOGS}
    for path in STREAMS:
        recorded |= found_in(path)
    assert {cause.id for cause in causes()} == recorded


def test_ids_are_unique_and_texts_name_only_what_patterns_give() -> None:
    assert len({cause.id for cause in causes()}) == len(causes())
    for cause in causes():
        groups = {name for pattern in cause.patterns for name in pattern.groupindex}
        fields = {name for _, name, _, _ in string.Formatter().parse(cause.means + cause.remedy) if name}
        assert fields <= groups, cause.id
        assert "\n" not in cause.means + cause.remedy


@pytest.mark.parametrize(
    "path", [HERE.parent / "streams" / f"{name}.jsonl" for name in ("success", "cached", "push")], ids=str
)
def test_a_good_build_has_no_known_cause(path: Path) -> None:
    assert not found_in(path)


def test_what_only_follows_is_told_alone_only() -> None:
    cancelled = "ERROR: failed to build: failed to solve: Canceled: context canceled"
    assert [entry.known.id for entry in diagnose([cancelled]).found] == ["cancelled"]
    assert [entry.known.id for entry in diagnose([cancelled, "sh: 1: nvcc: not found"]).found] == ["nvcc-absent"]


def test_lines_are_counted_and_repeats_are_told_once() -> None:
    log = ["start\n", "\x1b[31m#7 1.2 g++: not found\x1b[0m\r\n", "\n", "#9 3.4 g++: not found\n"]
    (entry,) = diagnose(log).found
    assert (entry.line, entry.count, entry.text) == (2, 2, "#7 1.2 g++: not found")


def test_raw_json_progress_is_unpacked() -> None:
    data = base64.b64encode(b"c++: fatal error: Killed signal terminated program cc1plus\n").decode()
    line = json.dumps({"logs": [{"vertex": "sha256:1", "stream": 2, "data": data, "timestamp": ""}]})
    assert [entry.known.id for entry in diagnose([line]).found] == ["memory-full"]


def test_the_log_of_the_engine_itself_is_read_too() -> None:
    said = (
        'time="2026-11-23T14:26:41Z" level=info msg="fetch failed" error="failed to do request: '
        r'Head \"https://127.0.0.1:5998/v2/x/manifests/1\": dial tcp 127.0.0.1:5998: connect: connection refused"'
    )
    (entry,) = diagnose([said]).found
    assert entry.known.message == "the registry at 127.0.0.1:5998 refuses the connection"


def test_a_place_that_the_log_leaves_open_is_dropped() -> None:
    known = find_cause("CUDA error: no kernel image is available for execution on the device", speaker=Speaker.PROGRAM)
    assert known is not None
    assert known.message == "torch, or a CUDA extension, holds no code for this GPU"
    named = find_cause(
        "X with CUDA capability sm_120 is not compatible with the current PyTorch installation.",
        speaker=Speaker.PROGRAM,
    )
    assert named is not None
    assert named.message.endswith("(sm_120)")


@given(st.lists(st.text()))
def test_any_text_can_be_looked_through(lines: list[str]) -> None:
    assert diagnose(lines).lines == len(lines)


def test_a_long_log_takes_seconds() -> None:
    line = '#12 345.6 [31/67] /usr/local/cuda/bin/nvcc -I"/opt/env/include" -c knn.cu -o knn.o: warning #186-D: "x" '
    started = time.monotonic()
    assert diagnose(line * 2 for _ in range(20_000)).lines == 20_000  # 4 MB
    assert time.monotonic() - started < 20


def command(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "generator", "diagnose", *arguments], input=stdin, capture_output=True, check=False
    )


def test_the_command_shows_findings_on_stdout_and_ends_with_0() -> None:
    done = command(str(HERE / "logs" / "nvcc-absent--sh.txt"))
    assert done.returncode == 0
    assert b"there is no CUDA toolkit" in done.stdout
    assert done.stderr == b""


def test_the_command_reads_stdin_and_writes_json() -> None:
    done = command(
        "-", "--format", "json", stdin=b"\xff\nOSError: /x/_C.so: undefined symbol: _ZN3c104cuda9SetDeviceEi\n"
    )
    data = json.loads(done.stdout)
    assert done.returncode == 0
    assert data["lines"] == 2
    (row,) = data["findings"]
    assert (row["cause"], row["line"], row["count"]) == ("symbol-undefined", 2, 1)
    assert "_C.so was compiled for another torch" in row["means"]


def test_nothing_known_is_said_and_no_failure() -> None:
    done = command("-", stdin=b"all is well\n")
    assert (done.returncode, done.stdout) == (0, b"stdin: no known cause of a failure in 1 lines\n")


@pytest.mark.parametrize("log", ["nothing-here.log", "."])
def test_a_log_that_cannot_be_read_is_wrong_usage(log: str) -> None:
    done = command(log)
    assert done.returncode == 2
    assert b"the log can't be read" in done.stderr
    assert b"Traceback" not in done.stderr
