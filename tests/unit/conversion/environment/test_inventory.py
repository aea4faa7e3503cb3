from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conversion.environment import inventory
from conversion.failures import ConversionError, SpecError

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


@pytest.mark.parametrize(
    ("version", "served"), [("3.9.18", False), ("3.10.14", True), ("3.14.0rc1", True), ("3.15.0", False)]
)
def test_the_pythons_that_a_stack_serves(version: str, served: bool) -> None:
    assert inventory.serves(">=3.10,<3.15", version) is served
