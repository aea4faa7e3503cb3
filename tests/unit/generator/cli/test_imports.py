from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[4]
SIGNING = {"cryptography", "cyclonedx", "nacl", "packageurl", "securesystemslib", "sigstore"}


@pytest.mark.parametrize(
    "command", [["--help"], ["bake", "--help"], ["ci", "--help"], ["fetch", "--help"], ["run", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    # pydantic is not in the list: typer itself imports it for commands with parameters.
    heavy = {*SIGNING, "jinja2", "rich.console", "docker", "python_on_whales", "requests", "tomli"}
    assert not heavy & modules_of(command, cwd=TOP, path=os.environ["PATH"])


# What a command has no use for and takes its time: the engine's clients, what renders, what shows tables.
CLIENTS = {"docker", "python_on_whales", "requests", *SIGNING}


@pytest.mark.parametrize(
    ("command", "unused"),
    [
        (["render"], {*CLIENTS, "rich.table"}),
        (["plan", "--format", "json"], {*CLIENTS, "jinja2", "rich.table"}),
        (["plan"], {*CLIENTS, "jinja2"}),
        (["bake", "--dry-run"], {*CLIENTS, "rich.table"}),
    ],
)
def test_a_command_imports_only_what_it_uses_and_asks_no_engine(
    command: list[str], unused: set[str], tmp_path: Path
) -> None:
    # No program can be found, so that nothing that runs one would work; no engine is where one is said to be.
    loaded = modules_of(["-r", "demo", *command], cwd=tmp_path, path="/nonexistent")
    assert "generator.plan" in loaded
    assert not unused & loaded


def modules_of(command: list[str], *, cwd: Path, path: str) -> set[str]:
    """Run a command in a process of its own, which has to do it, and give the modules that it imported."""
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: sys.stderr.write('LOADED ' + ','.join(sys.modules)))\n"
        f"sys.argv = ['generator', *{command!r}]\n"
        "from generator.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd,
        env={"PATH": path, "PYTHONPATH": str(TOP), "HOME": str(cwd), "DOCKER_HOST": "unix:///nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.rpartition("LOADED ")[2].split(","))
