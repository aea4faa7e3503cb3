"""Inventory, constraints, and the rows that compare base and image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conversion.environment import constraints, inventory
from conversion.environment.inventory import Inventory
from conversion.failures import ConversionError, SpecError
from conversion.verify import packages, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHECK = """Using Python 3.11.7 environment at: /opt/conda/envs/deepprep
Checked 8 packages in 67ms
Found 3 incompatibilities
The package `requests` requires `idna>=2.5,<4`, but `1.0` is installed
The package `jinja2` requires `markupsafe>=2.0`, but it's not installed
The package `requests` requires `idna>=2.5,<4`, but `1.0` is installed
"""


def test_conflicts_are_sorted_and_each_told_once() -> None:
    assert inventory.parse_conflicts(CHECK) == [
        "The package `jinja2` requires `markupsafe>=2.0`, but it's not installed",
        "The package `requests` requires `idna>=2.5,<4`, but `1.0` is installed",
    ]
    clean = (
        "Using Python 3.11.7 environment at: x\nChecked 34 packages in 40ms\nAll installed packages are compatible\n"
    )
    assert inventory.parse_conflicts(clean) == []


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with this interpreter, and a stand-in for uv that answers as uv does."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    listing = [
        {"name": "Torch_Geometric", "version": "2.3.1"},
        {"name": "nnunet", "version": "1.7.1", "editable_project_location": "/src/nnunet"},
    ]
    uv = tmp_path / "uv"
    uv.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "assert '--offline' in sys.argv and '--no-cache' in sys.argv\n"
        f"if sys.argv[2] == 'list':\n    print({json.dumps(listing)!r})\n"
        f"else:\n    print({CHECK!r}, file=sys.stderr)\n    sys.exit(1)\n"
    )
    uv.chmod(0o755)
    return tmp_path


def test_collect(prefix: Path) -> None:
    found = inventory.collect(str(prefix / "uv"), str(prefix))
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.packages == {"torch-geometric": "2.3.1", "nnunet": "1.7.1"}
    assert found.editable == {"nnunet": "/src/nnunet"}
    assert len(found.conflicts) == 2


def test_the_command_line_and_back(prefix: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "inventory.json"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "conversion.environment.inventory",
        "--uv",
        prefix / "uv",
        "--prefix",
        prefix,
        "--out",
        out,
    ]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    assert inventory.load(out) == inventory.collect(str(prefix / "uv"), str(prefix))


def test_no_uv_and_no_interpreter_are_told_without_a_traceback(prefix: Path) -> None:
    with pytest.raises(ConversionError, match="can't run /nowhere/uv: No such file"):
        inventory.collect("/nowhere/uv", str(prefix))
    with pytest.raises(ConversionError, match="can't run /nowhere/bin/python"):
        inventory.collect(str(prefix / "uv"), "/nowhere")


def test_a_wrong_inventory_is_named(tmp_path: Path) -> None:
    file = tmp_path / "inventory.json"
    file.write_text("{}")
    with pytest.raises(SpecError, match=r"inventory\.json is not an inventory"):
        inventory.load(file)


BASE = Inventory(
    python="3.10.14",
    packages={
        "torch": "2.0.1+cu118",
        "nvidia-cublas-cu11": "11.10.3.66",
        "numpy": "1.26.4",
        "tensorflow": "2.11.1",
        "apex": "0.1+local.3",
        "nnunet": "1.7.1",
        "odd": "2020b-py38",
        "old-post": "1.0-1",
        "epoch": "1!2.0.post1.dev3",
    },
    conflicts=("The package `tensorflow` requires `protobuf<3.20`, but `4.1` is installed",),
    editable={"nnunet": "/src/nnunet"},
)


def test_constraints() -> None:
    lines = constraints.constraints(BASE, ["Torch", "nvidia_*"])
    assert [line for line in lines if not line.startswith("#")] == [
        "apex==0.1+local.3",
        "epoch==1!2.0.post1.dev3",
        "numpy==1.26.4",
        "old-post==1.0-1",
        "tensorflow==2.11.1",
    ]
    comments = "\n".join(line for line in lines if line.startswith("#"))
    assert "# torch: released, was 2.0.1+cu118" in comments
    assert "# nvidia-cublas-cu11: released" in comments
    assert "# nnunet: editable install of /src/nnunet" in comments
    assert "# odd: version 2020b-py38 is not PEP 440" in comments


@pytest.mark.parametrize(
    ("name", "globs", "expected"),
    [
        ("torch", ["torch"], True),
        ("torch-scatter", ["torch"], False),
        ("torch_scatter", ["Torch.Scatter"], True),
        ("nvidia-cudnn-cu11", ["nvidia-*"], True),
        ("numpy", ["nvidia-*", "torch*"], False),
    ],
)
def test_released(name: str, globs: list[str], expected: bool) -> None:
    assert constraints.released(name, globs) is expected


def image(conflicts: Iterable[str] = (), python: str = "3.10.14", **changed: str) -> Inventory:
    kept = {**BASE.packages, **{name.replace("_", "-"): version for name, version in changed.items()}}
    return Inventory(python, {name: version for name, version in kept.items() if version}, tuple(conflicts))


def statuses(found: Iterable[rows.Row]) -> list[tuple[str, str]]:
    return [(row.subject, row.status) for row in found]


def test_a_conflict_of_the_base_only_informs_also_where_its_version_moved() -> None:
    moved = "The package `tensorflow` requires `protobuf<3.20`, but `5.0` is installed"
    found = list(packages.conflict_rows(BASE, image([moved])))
    assert statuses(found) == [("environment", "pass"), ("tensorflow", "info")]


def test_a_new_conflict_fails_with_its_line() -> None:
    line = "The package `tensorflow` requires `numpy<1.24`, but `1.26.4` is installed"
    (row,) = packages.conflict_rows(BASE, image([line]))
    assert (row.subject, row.status, row.detail) == ("tensorflow", "fail", line)


def test_differences_inform() -> None:
    found = list(packages.difference_rows(BASE, image(torch="2.11.0", apex="", new="1", python="3.10.15")))
    assert [(row.subject, row.expected, row.found, row.detail) for row in found] == [
        ("apex", "0.1+local.3", "not installed", "removed"),
        ("new", "not installed", "1", "added"),
        ("torch", "2.0.1+cu118", "2.11.0", "changed"),
        ("python", "3.10.14", "3.10.15", "changed"),
    ]
    assert {row.status for row in found} == {"info"}


def test_a_changed_package_that_the_recipe_does_not_name_fails() -> None:
    named = ["torch", "nvidia-*"]
    found = list(packages.constraint_rows(BASE, image(torch="2.11.0", numpy="2.0", apex="", nvidia_x="1"), named))
    assert statuses(found) == [("apex", "fail"), ("numpy", "fail")]
    assert statuses(packages.constraint_rows(BASE, image(torch="2.11.0", added="1"), named)) == [
        ("environment", "pass")
    ]


def test_a_check_that_crashes_is_a_failing_row_and_keeps_what_it_found() -> None:
    def work() -> Iterator[rows.Row]:
        yield rows.judged("version", "a", "1", "1", True)
        raise ZeroDivisionError("of all things")

    first, second = rows.guarded("version", "environment", work)
    assert first.status == "pass"
    assert (second.status, second.detail) == ("fail", "ZeroDivisionError: of all things")


def test_the_report_passes_only_with_rows_and_without_a_failing_one() -> None:
    good = rows.judged("version", "a", "1", "1", True)
    told = rows.Row("difference", "b", "1", "2", rows.INFO)
    assert rows.report("demo", [good, told])["passed"] is True
    assert rows.report("demo", [])["passed"] is False
    failing = rows.report("demo", [good, rows.judged("version", "a", "1", "2", False)])
    assert failing["passed"] is False
    assert failing["rows"][1] == {
        "check": "version",
        "subject": "a",
        "expected": "1",
        "found": "2",
        "status": "fail",
        "detail": "",
    }


@pytest.mark.parametrize(
    ("version", "served"), [("3.9.18", False), ("3.10.14", True), ("3.14.0rc1", True), ("3.15.0", False)]
)
def test_the_pythons_that_a_stack_serves(version: str, served: bool) -> None:
    assert inventory.serves(">=3.10,<3.15", version) is served
