"""What holds for every module of tests/engine: it says what it proves, and it names no image that a user may have."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from generator.recipe import load_recipe, shipped

FOLDER = Path(__file__).parents[1] / "engine"
MODULES = sorted(FOLDER.glob("test_*.py"))
OURS = {"deepprep-demo:25.1.0", "deepprep-demo:uplifted"}  # `make demo` makes them


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_says_whether_it_proves_the_thing_or_the_packaging(path: Path) -> None:
    assert "Proves " in (ast.get_docstring(ast.parse(path.read_text())) or "")


def test_no_module_names_an_image_of_a_shipped_recipe() -> None:
    recipes = [load_recipe(name).recipe for name in shipped()]
    names = {name for recipe in recipes for name in (recipe.base.image, recipe.image.tag)} - OURS
    assert "pbfslab/deepprep:25.1.0" in names
    texts = {path: path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py")}
    assert [(path.name, name) for path, text in texts.items() for name in names if name in text] == []
