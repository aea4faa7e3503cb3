"""What a recipe leaves out of its image: from the recipe to the graph and what is rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conversion.selection import KINDS
from generator.errors import UsageError
from generator.plan import build_graph
from generator.plan.specs import verify_json
from generator.recipe import Recipe, load_recipe
from generator.recipe.model import SLIM_KINDS
from generator.render import render

if TYPE_CHECKING:
    from collections.abc import Callable


def slimmed(recipe: Recipe, *kinds: str) -> Recipe:
    return recipe.model_copy(update={"image": recipe.image.model_copy(update={"slim": kinds})})


def test_recipes_know_the_kinds_that_the_build_knows() -> None:
    assert SLIM_KINDS == KINDS


def test_nothing_to_leave_out_changes_nothing(demo: Recipe) -> None:
    assert render(build_graph(slimmed(demo))) == render(build_graph(demo))
    assert "slim" not in json.loads(verify_json(demo))


def test_neither_order_nor_repetition_changes_what_is_rendered(demo: Recipe) -> None:
    one = render(build_graph(slimmed(demo, "tests", "headers", "tests")))
    assert one == render(build_graph(slimmed(demo, "headers", "tests")))
    assert one != render(build_graph(slimmed(demo, "headers")))


def test_only_the_image_starts_from_what_is_left(demo: Recipe) -> None:
    graph = build_graph(slimmed(demo, "headers"))
    assert graph["image"].inputs["layers"] == "layers"
    assert "torch" not in graph["image"].inputs
    for name in ("wheel-torch-scatter", "rebuild"):
        assert graph[name].inputs["torch"] == "torch"
        assert "layers" not in graph.ancestors(name)
    files = render(graph)
    plain = render(build_graph(demo))
    same = [path for path in plain if path.parts[:1] == ("contexts",) and path.parts[1] not in ("image", "verify")]
    assert len(same) > 20
    assert {path for path in same if files[path] != plain[path]} == set()


@pytest.mark.parametrize(("limit", "parts"), [(None, 1), (5000, 1), (1000, 6)])
def test_a_limit_on_layers_holds_too(demo: Recipe, limit: int | None, parts: int) -> None:
    graph = build_graph(slimmed(demo, "headers"), layer_limit_mib=limit)
    (text,) = [
        content.decode() for path, content in render(graph).items() if path.parts[1:] == ("layers", "Dockerfile")
    ]
    assert text.count("-m conversion.place") == parts
    assert ("--limit-mib" in text) == (parts > 1)
    assert text.index("conversion.slim") < text.index("conversion.share")
    assert "--kind headers" in text
    assert "--kind tests" not in text


def test_verification_is_told(demo: Recipe) -> None:
    assert json.loads(verify_json(slimmed(demo, "tests", "headers")))["slim"] == ["headers", "tests"]


def test_what_cannot_be_left_out_is_said_with_its_line_and_a_near_match(
    minimal: str, write_recipe: Callable[[str], Path]
) -> None:
    text = minimal.replace('tag = "small:1"', 'tag = "small:1"\nslim = ["tests", "header", "docs"]')
    with pytest.raises(UsageError) as caught:
        load_recipe(str(write_recipe(text)))
    assert "toml:7: image.slim.1: 'header' is nothing that can be left out; did you mean \"headers\"?" in str(
        caught.value
    )
    assert "image.slim.2: 'docs' is nothing that can be left out; known here: static-libraries, " in str(caught.value)
