from __future__ import annotations

import json

import pytest

from bake.errors import UsageError
from generator.plan import Graph, Kind, Target, build_graph
from generator.plan.svg import as_svg
from generator.plan.views import as_json, as_mermaid
from generator.recipe import Recipe


def target(name: str, **inputs: str) -> Target:
    return Target(name=name, kind=Kind.WHEEL, description=name, inputs=inputs)


def graph(*targets: Target) -> Graph:
    return Graph(recipe="r", origin="r.toml", scope="r /opt", targets=targets, variables=())


def test_targets_come_in_topological_order() -> None:
    assert graph(target("c", x="b"), target("b", x="a"), target("a")).names == ("a", "b", "c")


def test_a_cycle_is_named_in_full() -> None:
    with pytest.raises(UsageError, match="wait for each other") as caught:
        graph(target("a", x="b"), target("b", x="c"), target("c", x="a"))
    assert all(name in caught.value.message for name in "abc")


def test_a_dangling_input_is_named() -> None:
    with pytest.raises(UsageError, match="'a' uses 'nothing'"):
        graph(target("a", x="nothing"))


def test_two_targets_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two targets are named 'a'"):
        graph(target("a"), target("a"))


def test_an_unknown_target_gets_the_near_one() -> None:
    with pytest.raises(UsageError) as caught:
        graph(target("wheel-torch-scatter"))["wheel-torch-scater"]
    assert 'did you mean "wheel-torch-scatter"?' in str(caught.value)


def test_extract_patch_and_the_way_to_torch_start_together(demo: Recipe) -> None:
    first, second, third, fourth = build_graph(demo).stages()[:4]
    assert {"extract", "patch", "tools"} == set(first)
    assert "inventory" in second
    assert {"fetch-stack", "fetch-toolkit", "fetch-build", "fetch-apt"} == set(third)
    assert {"torch", "toolchain"} == set(fourth)


def test_rebuild_waits_for_the_wheels_it_uses_and_no_other(demo: Recipe) -> None:
    ancestors = build_graph(demo).ancestors("rebuild")
    assert "wheel-torch-scatter" in ancestors
    assert "wheel-torch-spline-conv" not in ancestors
    assert "patch" not in ancestors


def test_compile_targets_do_not_wait_for_each_other(demo: Recipe) -> None:
    graph_ = build_graph(demo)
    wheels = {target.name for target in graph_.of_kind(Kind.WHEEL)}
    assert len(wheels) == 2
    assert all(not graph_.ancestors(name) & wheels for name in wheels)


def test_toolchain_and_tools_are_never_a_stage_of_the_image(demo: Recipe) -> None:
    image = build_graph(demo)["image"]
    assert "toolchain" not in image.inputs
    assert image.inputs["torch"] == "torch"


def test_needs_between_extensions_become_edges_and_cycles_are_found(demo: Recipe) -> None:
    def needing(**needs: tuple[str, ...]) -> Recipe:
        extensions = {
            name: extension.model_copy(update={"needs": needs.get(name.replace("-", "_"), ())})
            for name, extension in demo.extensions.items()
        }
        return demo.model_copy(update={"extensions": extensions})

    chained = build_graph(needing(torch_spline_conv=("torch-scatter",)))
    assert "wheel-torch-scatter" in chained.ancestors("wheel-torch-spline-conv")
    with pytest.raises(UsageError, match="wait for each other"):
        build_graph(needing(torch_spline_conv=("torch-scatter",), torch_scatter=("torch-spline-conv",)))


def test_a_recipe_without_models_patch_or_extensions_plans_only_what_it_needs(demo: Recipe) -> None:
    bare = demo.model_copy(update={"models": {}, "patch": None, "extensions": {}, "toolkit": None})
    assert set(build_graph(bare).names) == {
        "tools",
        "inventory",
        "fetch-stack",
        "torch",
        "image",
        "verify",
        "lock",
        "bundle",
    }


def test_views_agree_on_the_targets(demo: Recipe) -> None:
    graph_ = build_graph(demo)
    names = [entry["name"] for entry in json.loads(as_json(graph_))["targets"]]
    assert tuple(names) == graph_.names
    assert all(f"[{name}]" in as_mermaid(graph_) for name in names)
    svg = as_svg(graph_)
    assert all(f">{name}</text>" in svg for name in names)


def test_mermaid_leaves_out_edges_that_others_imply(demo: Recipe) -> None:
    lines = as_mermaid(build_graph(demo)).splitlines()
    assert "    rebuild --> image" in lines
    assert "    torch --> image" not in lines
