from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from bake.errors import UsageError
from generator.plan import build_graph
from generator.plan.graph import Kind
from generator.recipe import Recipe, load_recipe
from generator.render import render

Writer = Callable[[str], Path]
EXTENSION = """
[toolkit]
source = "wheels"
install = ["cuda-toolkit==13.0.2"]

[extensions.hello]
source = "sdist"
version = "1.0"
sha256 = "{sha}"
{keys}
"""


def dockerfile(recipe: Recipe, target: str) -> str:
    return render(build_graph(recipe))[PurePosixPath(f"contexts/{target}/Dockerfile")].decode()


def spec(recipe: Recipe) -> list[dict[str, object]]:
    files = render(build_graph(recipe))
    found = json.loads(files[PurePosixPath("contexts/wanted/requirements.json")])["extensions"]
    assert isinstance(found, list)
    return found


@pytest.fixture(params=["demo", "deepprep", "deepprep-cu130"])
def shipped(request: pytest.FixtureRequest) -> Recipe:
    return load_recipe(request.param).recipe


def test_what_is_required_is_known_without_toolchain_or_wheels(shipped: Recipe) -> None:
    graph = build_graph(shipped)
    ancestors = graph.ancestors("requirements")
    assert {f"source-{name}" for name in shipped.extensions} < ancestors
    assert not ancestors & {"toolchain", *(target.name for target in graph.of_kind(Kind.WHEEL))}


def test_no_compile_waits_for_it_and_image_and_models_do(shipped: Recipe) -> None:
    graph = build_graph(shipped)
    assert all("requirements" not in graph.ancestors(target.name) for target in graph.of_kind(Kind.WHEEL))
    assert "requirements" in graph["image"].inputs
    assert "requirements" in graph["rebuild"].inputs


def test_a_sources_code_never_runs_with_the_network(shipped: Recipe) -> None:
    steps = dockerfile(shipped, "wanted").split("\nRUN ")[1:]
    reading = [step for step in steps if "metadata.py" in step]
    assert len(reading) == len(shipped.extensions)
    assert all(step.startswith("--network=none") for step in reading)
    assert all("secret" not in step.partition("<<")[0] for step in reading)
    assert "from=source-" not in dockerfile(shipped, "requirements")


def test_a_source_waits_for_nothing_but_tools_and_what_decides_which_wheel_fits(shipped: Recipe) -> None:
    graph = build_graph(shipped)
    for name, extension in shipped.extensions.items():
        waits = {"tools", "inventory"} if extension.prebuilt else {"tools"}
        assert graph.ancestors(f"source-{name}") == waits


def test_the_recipes_pins_and_their_absence_reach_the_check(minimal: str, write_recipe: Writer) -> None:
    def given(keys: str) -> object:
        text = minimal + EXTENSION.format(sha="0" * 64, keys=keys)
        return spec(load_recipe(str(write_recipe(text))).recipe)[0]["requires"]

    assert given("") is None
    assert given("requires = []") == []
    assert given('requires = ["iopath==0.1.9"]') == ["iopath==0.1.9"]
    with pytest.raises(UsageError, match="is not pinned"):
        given('requires = ["iopath"]')


def test_versions_are_those_that_the_image_gets() -> None:
    versions = {entry["name"]: entry["version"] for entry in spec(load_recipe("deepprep").recipe)}
    assert versions["torch-scatter"] == "2.1.2+pt27cu128"
    assert versions["pytorch3d"] == "0.7.9"


def test_a_repository_is_fetched_without_the_toolchain(minimal: str, write_recipe: Writer) -> None:
    section = EXTENSION.partition("sha256")[0].replace('"sdist"', '"git"')
    section += f'url = "https://example.org/x.git"\ncommit = "{"1" * 40}"\n'
    recipe = load_recipe(str(write_recipe(minimal + section))).recipe
    assert build_graph(recipe).ancestors("source-hello") == {"tools"}
    assert "--no-install-recommends git" in dockerfile(recipe, "source-hello")


def test_build_requirements_are_those_of_the_toolchain_and_shared_with_it(demo: Recipe) -> None:
    def step(target: str) -> str:
        return (
            dockerfile(demo, target)
            .partition("/opt/build-requires")[0]
            .rpartition("FROM base AS ")[2]
            .partition("\n")[2]
        )

    assert step("wanted") == step("toolchain") != ""


def test_without_extensions_there_is_nothing_to_ask(demo: Recipe) -> None:
    bare = demo.model_copy(update={"models": {}, "extensions": {}, "toolkit": None})
    assert not {"requirements", "wanted"} & set(build_graph(bare).names)
