"""A folder of ``conversion`` is what a target mounts: it has all that it imports, and runs on the image's Python."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from generator.plan.build import build_graph
from generator.recipe import load_recipe

TOP = Path(__file__).parents[3]
MODULES = sorted(path.relative_to(TOP) for path in (TOP / "conversion").rglob("*.py"))
# The folders that each may import from beside itself, in order: none needs one that stands below it.
NEEDS: dict[str, set[str]] = {
    "environment": set(),
    "requirements": {"environment"},
    "layers": set(),
    "patch": set(),
    "models": set(),
    "verify": {"environment", "patch", "models"},
    "gpu": {"models", "verify"},
}
FETCHING = ("fetch-stack", "fetch-build", "fetch-toolkit")
MOUNTING = (
    *("inventory", *FETCHING, "torch", "wanted", "requirements"),
    *("patch", "extract", "rebuild", "layers", "verify"),
)
OPTIONAL = {"numpy"}  # what may be absent, and so is imported inside a function

# Imports all modules below the current folder, where nothing is installed.
IMPORT_ALL = """
import importlib, pathlib, sys
for file in sorted(pathlib.Path("conversion").rglob("*.py")):
    name = ".".join(file.with_suffix("").parts)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            sys.exit(f"{name}: {error}")
"""


def tree_of(module: PurePath) -> ast.Module:
    return ast.parse((TOP / module).read_text(encoding="utf-8"), feature_version=(3, 8))


def imported(module: PurePath) -> set[PurePath]:
    """The files of ``conversion`` that a module imports, wherever in it."""
    found: set[PurePath] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "conversion":
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                place = PurePath(*name.split("."))
                found |= {place.with_suffix(".py"), place / "__init__.py"} & set(MODULES)
    return found


def folder_of(module: PurePath) -> str:
    """The folder below ``conversion``; "" for a module above all of them."""
    return module.parts[1] if len(module.parts) > 2 else ""


@pytest.mark.parametrize("folder", ["", *NEEDS])
def test_a_folder_imports_only_from_those_that_it_may(folder: str) -> None:
    modules = [module for module in MODULES if folder_of(module) == folder]
    assert modules
    for module in modules:
        assert {folder_of(other) for other in imported(module)} <= {"", folder, *NEEDS.get(folder, ())}, module


def test_every_folder_has_a_place_in_the_order() -> None:
    assert {folder_of(module) for module in MODULES} == {"", *NEEDS}
    order = list(NEEDS)
    assert all(order.index(needed) < order.index(folder) for folder, needs in NEEDS.items() for needed in needs)


@pytest.fixture(scope="module")
def mounts() -> dict[str, set[PurePath]]:
    """What each target mounts of ``conversion``; those that mount nothing of it are not there."""
    targets = build_graph(load_recipe("demo").recipe, layer_limit_mib=1000).targets
    files = {target.name: {PurePath(file.path) for file in target.files} & set(MODULES) for target in targets}
    return {name: found for name, found in files.items() if found}


def test_the_targets_that_mount_it(mounts: dict[str, set[PurePath]]) -> None:
    assert set(mounts) == set(MOUNTING)


@pytest.mark.parametrize("target", MOUNTING)
def test_a_target_mounts_all_that_its_modules_import(
    mounts: dict[str, set[PurePath]], target: str, tmp_path: Path
) -> None:
    for module in mounts[target]:
        assert imported(module) <= mounts[target], module
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / module).write_bytes((TOP / module).read_bytes())
    command = [sys.executable, "-S", "-E", "-c", IMPORT_ALL]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_what_may_be_absent_is_imported_inside_a_function() -> None:
    for module in MODULES:
        functions = (node for node in ast.walk(tree_of(module)) if isinstance(node, ast.FunctionDef))
        for node in (inner for function in functions for inner in ast.walk(function)):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= OPTIONAL, module
            assert not isinstance(node, ast.ImportFrom), module
