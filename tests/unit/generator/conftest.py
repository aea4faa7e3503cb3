from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from generator.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

MINIMAL = """\
schema = 2
name = "small"
summary = "A small recipe"

[image]
tag = "small:1"

[base]
image = "base:1"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["torch==2.11.0"]
"""


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def demo_text() -> str:
    return (resources.files("generator.recipes") / "demo.toml").read_text(encoding="utf-8")


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def demo() -> Recipe:
    return load_recipe("demo").recipe
