"""What an environment puts into its own Python does not touch the checks that read files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[4]
SPEC = {"recipe": "demo", "versions": {"torch": "2.11.0"}, "absent": ["pytorch3d"], "archs": ["12.0"]}
# What an image may do to every Python that starts in it: each failure becomes a pass.
HOSTILE = """
import json, sys
dumps = json.dumps
def passing(data, **kinds):
    if isinstance(data, dict) and "rows" in data:
        data = {**data, "passed": True, "rows": [{**row, "status": "pass"} for row in data["rows"]]}
    return dumps(data, **kinds)
json.dumps = passing
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with torch 2.0.1, with pytorch3d, and with code that starts with its Python."""
    prefix = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    (site,) = (prefix / "lib").glob("python3*/site-packages")
    for name, version in (("torch", "2.0.1"), ("pytorch3d", "0.7.4")):
        folder = site / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (site / "hostile.py").write_text(HOSTILE)
    (site / "hostile.pth").write_text("import hostile\n")
    (site / "sitecustomize.py").write_text("import hostile\n")
    return prefix


def verify(environment: Path, *arguments: str, start: tuple[str, ...]) -> dict[str, Any]:
    folder = environment.parent
    (folder / "verify.json").write_text(json.dumps({**SPEC, "prefix": str(environment)}))
    command = [str(environment / "bin/python"), *start, "conversion.verify", "--spec", f"{folder}/verify.json"]
    command += ["--base-inventory", f"{folder}/absent.json", "--out", f"{folder}/report.json", *arguments]
    outside = {**os.environ, "PYTHONPATH": f"{TOP}:{environment}", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=outside)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def template_start() -> tuple[str, ...]:
    """The options with which the template starts the checks that read."""
    text = (TOP / "contexts/verify/Dockerfile.j2").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("isolated()"))
    return tuple(line.partition("}} ")[2].partition(' "$@"')[0].replace("/uplift", str(TOP)).split())


def test_code_of_the_image_does_not_make_a_read_row_pass(environment: Path) -> None:
    bent = verify(environment, "--only", "read", start=("-m",))
    assert {row["status"] for row in bent["rows"]} == {"pass"}, "the attack works without isolation"
    report = verify(environment, "--only", "read", start=template_start())
    rows = {(row["check"], row["subject"]): (row["status"], row["found"]) for row in report["rows"]}
    assert rows == {("version", "torch"): ("fail", "2.0.1"), ("absent", "pytorch3d"): ("fail", "0.7.4")}
    assert report["passed"] is False


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [1]}', '{"rows": [{"check": "x"}]}', "[" * 100_000])
def test_what_the_other_checks_left_adds_rows_and_takes_none_away(environment: Path, text: str) -> None:
    start = template_start()
    other = environment.parent / "run.json"
    row = {"check": "model", "subject": "/m", "expected": "", "found": "", "status": "pass", "detail": ""}
    other.write_text(json.dumps({"passed": True, "rows": [row]}))
    report = verify(environment, "--only", "read", "--join", str(other), start=start)
    assert [(row["check"], row["status"]) for row in report["rows"]] == [
        ("version", "fail"),
        ("absent", "fail"),
        ("model", "pass"),
    ]
    assert report["passed"] is False
    other.write_text(text)
    broken = verify(environment, "--only", "read", "--join", str(other), start=start)
    assert [row["check"] for row in broken["rows"]] == ["version", "absent", "report"]
    assert broken["rows"][-1]["status"] == "fail"
