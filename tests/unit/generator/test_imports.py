from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
FORBIDDEN = {
    "generator/plan": {"bake", "docker", "python_on_whales"},
    "generator/render": {"bake", "docker", "python_on_whales"},
    "conversion": {"bake", "generator", "contexts", "docker", "python_on_whales", "pydantic", "rich"},
}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_the_pure_parts_import_nothing_of_the_others(package: str) -> None:
    files = sorted((TOP / package).rglob("*.py"))
    assert files
    for file in files:
        assert not imported(file) & FORBIDDEN[package], file


@pytest.mark.parametrize(
    "command", [["--help"], ["bake", "--help"], ["ci", "--help"], ["fetch", "--help"], ["run", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    # pydantic is not in the list: typer itself imports it for commands with parameters.
    script = (
        "import sys, atexit\n"
        "heavy = {'jinja2', 'rich.console', 'docker', 'python_on_whales', 'requests', 'tomli'}\n"
        "atexit.register(lambda: sys.stderr.write('LOADED ' + ','.join(sorted(heavy & set(sys.modules)))))\n"
        f"sys.argv = ['generator', *{command!r}]\n"
        "from generator.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("LOADED ")
