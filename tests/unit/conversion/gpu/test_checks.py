"""The checks on a card, as far as they go without torch: parts, processes, the report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conversion.gpu import checks, held_back
from conversion.gpu.__main__ import main
from conversion.verify.rows import FAIL, INFO, PASS, Row

SPEC: dict[str, Any] = {
    "recipe": "small",
    "prefix": sys.prefix,
    "archs": ["12.0"],
    "extensions": ["torch-scatter", "torch-new"],
    "models": {"sets": [{"name": "sugar"}]},
}


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "verify.json"
    path.write_text(json.dumps(SPEC))
    return path


def interpreter(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let parts run a shell script in place of Python; $PART is the part's name."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nwhile [ "$1" != --part ]; do shift; done\nPART=$2\n{script}\n')
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def row(status: str, subject: str = "$PART", detail: str = "") -> str:
    fields = {"check": "gpu", "subject": subject, "expected": "", "found": "x", "status": status, "detail": detail}
    return 'printf "%s\\n" "' + json.dumps(fields).replace('"', '\\"') + '"'


def test_without_torch_there_is_one_failing_row(spec_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conversion.gpu", "--spec", str(spec_file)],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(done.stdout)
    (only,) = report["rows"]
    assert report["passed"] is False
    assert (only["check"], only["subject"], only["status"]) == ("gpu", "card", FAIL)
    assert "No module named 'torch'" in only["detail"]


def test_every_part_has_its_rows_and_an_unknown_extension_informs(
    tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter(tmp_path, monkeypatch, row(PASS))
    rows = list(checks.check(SPEC, spec_file))
    assert [entry.subject for entry in rows] == ["card", *checks.OPERATIONS, "models:sugar", "torch-new"]
    assert rows[-1].status == INFO


def test_a_card_that_the_image_was_not_made_for_is_named_in_every_row(
    tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = "the card's 9.0 is not among the image's archs (12.0)"
    interpreter(tmp_path, monkeypatch, f"if [ $PART = card ]; then {row(INFO, detail=note)}; else {row(FAIL)}; fi")
    rows = list(checks.check(SPEC, spec_file))
    assert [entry.detail for entry in rows[:-1]] == [note] * (len(rows) - 1)


def test_without_a_card_nothing_else_is_tried(tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter(tmp_path, monkeypatch, row(FAIL))
    assert [entry.subject for entry in checks.check(SPEC, spec_file)] == ["card"]


@pytest.mark.parametrize(
    ("script", "found", "detail"),
    [
        (f"{row(PASS)}; kill -SEGV $$", "it broke off", "signal SIGSEGV"),
        (f"{row(PASS)}; echo no kernel image >&2; exit 3", "it broke off", "exit status 3: no kernel image"),
        ("true", "it said nothing", ""),
    ],
)
def test_a_part_that_crashes_keeps_its_rows_and_fails(
    tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: str, detail: str
) -> None:
    interpreter(tmp_path, monkeypatch, script)
    rows = checks.run_part("torch", SPEC, spec_file)
    assert (rows[-1].status, rows[-1].found) == (FAIL, found)
    assert detail in rows[-1].detail
    assert len(rows) == 1 + script.startswith("printf")


def test_a_part_that_hangs_fails(tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter(tmp_path, monkeypatch, f"{row(PASS)}; exec sleep 20")
    monkeypatch.setattr(checks, "TIMEOUT", 0.5)
    first, second = checks.run_part("torch", SPEC, spec_file)
    assert (first.status, second.status, second.found) == (PASS, FAIL, "no answer in 0.5 s")


def test_a_note_comes_after_the_detail() -> None:
    assert checks.noted(Row("gpu", "x", "", "", PASS, "a"), "b").detail == "a; b"
    assert checks.noted(Row("gpu", "x", "", "", PASS, "a"), "").detail == "a"


def test_the_report_goes_to_a_file_too(tmp_path: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter(tmp_path, monkeypatch, row(PASS))
    monkeypatch.setattr(sys, "argv", ["gpu", "--spec", str(spec_file), "--out", str(tmp_path / "out.json")])
    assert main() == 0
    assert json.loads((tmp_path / "out.json").read_text())["passed"] is True


@pytest.mark.parametrize(
    ("device", "capability", "status"),
    [("CPU:0", (12, 0), PASS), ("GPU:0", (12, 0), FAIL), ("GPU:0", (8, 6), PASS), ("CPU:0", (8, 6), PASS)],
)
def test_a_package_that_is_held_back_runs_where_it_should(
    monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int], status: str
) -> None:
    class Array:
        def __eq__(self, other: object) -> Any:
            return SimpleNamespace(all=lambda: other == 64)

        __hash__ = None  # type: ignore[assignment]

    product = SimpleNamespace(device=f"/job:localhost/device:{device}", numpy=Array)
    module = SimpleNamespace(
        __version__="2.11.1", ones=lambda _shape: None, linalg=SimpleNamespace(matmul=lambda _a, _b: product)
    )
    monkeypatch.setitem(sys.modules, "stand_in", module)
    (found,) = held_back.package_rows("stand_in", {"up_to": "9.0"}, capability)
    assert (found.status, found.found) == (status, f"right, on {device}")


def test_what_is_held_back_is_a_part_of_the_checks() -> None:
    spec = {"device": {"tensorflow": {"action": "cpu", "up_to": "9.0"}, "open3d": {"action": "inform"}}}
    assert [part for part in checks.parts(spec) if part.startswith("device:")] == ["device:tensorflow"]
