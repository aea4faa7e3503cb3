from __future__ import annotations

import ast
import json
from importlib import resources

import pytest

from generator.plan import specs
from generator.recipe import Recipe


def test_old_builds_of_what_is_compiled_anew_are_removed_first(demo: Recipe) -> None:
    assert specs.removed(demo) == ("pytorch3d", "torch-scatter", "torch-spline-conv")


def test_only_what_the_recipe_names_may_change(demo: Recipe) -> None:
    released = specs.released(demo)
    assert {"torch", "torch-geometric", "torch-scatter", "pytorch3d", "triton"} <= set(released)
    assert "numpy" not in released


def test_verify_expects_the_local_version_that_the_recipe_gives(demo: Recipe) -> None:
    spec = json.loads(specs.verify_json(demo))
    assert spec["versions"] == {
        "torch": "2.11.0+cu130",
        "torch-geometric": "2.7.0",
        "torch-scatter": "2.1.2",
        "torch-spline-conv": "1.2.2",
    }
    assert spec["absent"] == ["pytorch3d"]
    assert spec["archs"] == ["9.0", "12.0"]


def test_models_are_specified_as_the_recipe_says(demo: Recipe) -> None:
    (models,) = json.loads(specs.models_json(demo))["sets"]
    assert models["class"] == "gatunet_model.GatUNet"
    assert models["probe"]["sizes"]["vertices"]["values"]["fsaverage4"] == 2562
    assert models["probe"]["inputs"][1] == {
        "name": "xyz_moving",
        "shape": ["vertices", 3],
        "distribution": "sphere",
        "scale": 100.0,
    }
    assert models["tolerance"] is None


def test_requirement_names_are_normal_and_without_extras() -> None:
    assert specs.requirement_name("Torch_Geometric [full]==2.7.0") == "torch-geometric"


def test_modules_are_named_as_python_imports_them(demo: Recipe) -> None:
    assert specs.modules(demo) == ("torch", "torch_geometric")


def imports_of(module: str) -> set[str]:
    source = (resources.files("conversion") / f"{module}.py").read_text(encoding="utf-8")
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "conversion":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("conversion."):
            found.add(str(node.module).split(".")[1])
    return found


@pytest.mark.parametrize(
    ("entries", "listed"),
    [
        (["inventory"], specs.INVENTORY_MODULES),
        (["inventory", "constraints"], specs.CONSTRAINTS_MODULES),
        (["share", "place"], specs.LAYERS_MODULES),
        (["slim"], specs.SLIM_MODULES),
        (["requirements", "arrivals"], specs.REQUIREMENTS_MODULES),
        (["patch"], specs.PATCH_MODULES),
        (["extract"], specs.EXTRACT_MODULES),
        (["rebuild"], specs.REBUILD_MODULES),
        (["verify", "model_rows", "contents"], specs.VERIFY_MODULES),
    ],
)
def test_a_context_holds_the_modules_that_its_command_imports_and_no_other(
    entries: list[str], listed: tuple[str, ...]
) -> None:
    needed: set[str] = {"__init__"}
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if module not in needed:
            needed.add(module)
            waiting.extend(imports_of(module))
    assert sorted(listed) == sorted(needed)
