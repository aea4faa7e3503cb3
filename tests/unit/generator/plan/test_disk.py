from __future__ import annotations

import pytest

from generator.plan import Graph, build_graph
from generator.plan.disk import EVERYTHING, needed_gib
from generator.recipe import load_recipe


@pytest.fixture(params=["demo", "deepprep", "deepprep-cu130"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return build_graph(load_recipe(request.param).recipe)


def test_everything_takes_what_the_recipe_says(graph: Graph) -> None:
    assert needed_gib(graph, 20, ()) == needed_gib(graph, 20, EVERYTHING) == 20


def test_a_part_takes_a_part_and_more_of_it_more(graph: Graph) -> None:
    patch, torch = needed_gib(graph, 20, ["patch"]), needed_gib(graph, 20, ["torch"])
    wheel = needed_gib(graph, 20, ["wheel-torch-scatter"])
    assert 0 < patch < 0.5
    assert patch < torch < wheel < needed_gib(graph, 20, ["image"]) < 20
    assert needed_gib(graph, 20, ["torch", "patch"]) == pytest.approx(torch + patch)


def test_what_is_known_of_the_parts_fits() -> None:
    demo, deepprep = (build_graph(load_recipe(name).recipe) for name in ("demo", "deepprep"))
    # 4.7 GB of packages as a layer, and as much in uv's cache.
    assert needed_gib(demo, 20, ["torch"]) > 2 * 4.7e9 / 2**30 - 0.5
    # "installer and toolkit 15", as the recipe says of its 70.
    assert 15 <= needed_gib(deepprep, 70, ["toolchain"]) <= 20


def test_nothing_is_asked_for_where_the_recipe_says_nothing(graph: Graph) -> None:
    assert needed_gib(graph, 0, ["image"]) == 0
