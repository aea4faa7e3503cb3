"""The whole of verify with a specification."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from conversion.environment.inventory import Inventory
from conversion.verify.checks import verify
from conversion.verify.image import Image


def run_verify(tmp_path: Path, spec: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (tmp_path / "verify.json").write_text(json.dumps(spec))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "conversion.verify",
        "--spec",
        tmp_path / "verify.json",
        "--uv",
        "/nowhere/uv",
    ]
    command += ["--base-inventory", tmp_path / "absent.json"]
    command += ["--out", tmp_path / "report.json"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_verify_writes_a_report_even_if_every_check_crashes(tmp_path: Path) -> None:
    spec = {
        "recipe": "demo",
        "prefix": "/nowhere",
        "versions": {"torch": "2.11.0+cu130"},
        "absent": ["pytorch3d"],
        "cuda": "13.0",
        "archs": ["9.0"],
        "cards": ["9.0"],
        "extensions": ["torch-scatter"],
        "patch_roots": ["/nowhere"],
        "codemods": ["torch-load"],
        "models": {"schema": 2, "sets": [{"name": "a", "files": ["/a"], "unprobed": "a test"}]},
    }
    done = run_verify(tmp_path, spec)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["schema"], report["recipe"], report["passed"]) == (1, "demo", False)
    assert {row["status"] for row in report["rows"]} == {"fail"}
    checks = ["version", "cuda", "library", "sass", "device", "model", "patch", "patch", "conflict"]
    assert [row["check"] for row in report["rows"]] == checks
    assert all(row["detail"] for row in report["rows"])


def test_a_specification_that_asks_for_nothing_has_only_rows_of_what_is_installed(tmp_path: Path) -> None:
    image = Image("/nowhere", "/nowhere/uv", tmp_path / "absent.json")
    vars(image).update(inventory=Inventory("3.10", {"a": "1"}), base_inventory=Inventory("3.10", {"a": "1"}))
    assert [row.check for row in verify(image, {})] == ["conflict", "constraint"]


def test_verify_names_a_wrong_specification(tmp_path: Path) -> None:
    done = run_verify(tmp_path, {"recipe": "demo"})
    assert done.returncode == 2
    assert "it has no prefix" in done.stderr
    assert "Traceback" not in done.stderr
