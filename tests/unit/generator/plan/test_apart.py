"""No step that has the network or a secret of the place runs in a stage that is made of the frozen image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from generator.plan import Graph, build_graph
from generator.plan.keys import keys_of
from generator.recipe import load_recipe
from generator.recipe.groups import inputs_of
from generator.render import render
from tests.golden.copies import HERE, KINDS

HARMLESS = {"max-jobs", "nvcc-threads"}  # numbers, no secrets: so they stay out of a wheel's key
RECIPES = ("demo", "deepprep", "deepprep-cu130", str(HERE / f"{KINDS}.toml"))
_STAGE = re.compile(r"FROM (?P<from>\S+)(?: AS (?P<name>\S+))?")
_SECRET = re.compile(r"--mount=type=secret,id=([\w-]+)")


@dataclass
class Stage:
    """What a stage starts from, and its steps, each with all of its mounts."""

    start: str
    steps: list[str] = field(default_factory=list)


def stages_of(dockerfile: str) -> dict[str, Stage]:
    """Read a Dockerfile's stages; the last one has the name "" too."""
    stages: dict[str, Stage] = {}
    current = Stage("scratch")
    lines = iter(re.sub(r"\\\n *", " ", dockerfile).splitlines())
    for number, line in enumerate(lines):
        if found := _STAGE.fullmatch(line):
            current = stages[found["name"] or f"#{number}"] = stages[""] = Stage(found["from"])
        elif line.startswith("RUN"):
            current.steps.append(line)
    return stages


def with_network_or_secret(graph: Graph, files: Mapping[PurePosixPath, bytes]) -> Iterator[tuple[str, str, str]]:
    """Give target, origin of the stage and the step, of each step with the network or a secret."""
    stages = {
        target.name: stages_of(files[PurePosixPath("contexts", target.name, "Dockerfile")].decode())
        for target in graph.targets
    }

    def origin(target: str, name: str) -> str:
        start = stages[target][name].start
        if start == "driver-${NVIDIA_REQUIRE}":
            start = "driver-new"
        if start in stages[target]:
            return origin(target, start)
        used = graph[target].inputs.get(start)
        return origin(used, "") if used else start

    for target, found in stages.items():
        for name, stage in found.items():
            for step in stage.steps:
                if "--network=none" not in step or set(_SECRET.findall(step)) - HARMLESS:
                    yield target, origin(target, name), step


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda name: Path(name).stem)
def test_the_network_and_secrets_are_where_nothing_of_the_base_runs(recipe: str, locked: bool) -> None:
    loaded = load_recipe(recipe).recipe
    groups = ("tools", "stack", "toolkit", "build", "requirements", "apt", "apt-installer")
    files = {group: {"a-1-py3-none-any.whl": "0" * 64} for group in groups} if locked else {}
    graph = build_graph(loaded, locked=files, layer_limit_mib=4000)
    found = list(with_network_or_secret(graph, render(graph)))
    assert {origin for _, origin, _ in found} == {"fetcher"}
    assert {target for target, _, _ in found} == {target.name for target in graph.targets if target.fetches}
    assert all("--mount=type=bind,from=tools,target=/tools" in step for target, _, step in found if target != "tools")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda name: Path(name).stem)
def test_code_of_the_base_writes_into_no_cache_of_what_is_fetched(recipe: str) -> None:
    graph = build_graph(load_recipe(recipe).recipe)
    files = render(graph)
    for target in graph.targets:
        text = files[PurePosixPath("contexts", target.name, "Dockerfile")].decode()
        assert ("id=uplift-fetch" in text) is target.fetches
        assert not (target.fetches and "id=uplift-ccache" in text)


def test_a_group_that_is_locked_is_fetched_without_the_base() -> None:
    recipe = load_recipe("demo").recipe
    files = {"a-1-py3-none-any.whl": "0" * 64}
    graph = build_graph(recipe, locked={"stack": files})
    assert graph.ancestors("fetch-stack") == {"tools"}
    assert graph.ancestors("fetch-toolkit") == {"tools", "inventory"}
    listed = {file.path: file.text for file in graph["fetch-stack"].files}["locked.json"]
    assert listed == '{\n "a-1-py3-none-any.whl": "' + "0" * 64 + '"\n}\n'


def test_what_is_locked_for_compiling_is_in_the_key_of_wheels() -> None:
    recipe = load_recipe("demo").recipe

    def key(**locked: dict[str, str]) -> str:
        graph = build_graph(recipe, locked=locked)
        found = keys_of(graph, render(graph), variables={}, base="sha256:11", platform="linux/amd64")
        return found["wheel-torch-scatter"].digest

    files = {"a-1-py3-none-any.whl": "0" * 64}
    assert key() == key(stack=files) == key(requirements=files)
    assert len({key(), key(apt=files), key(toolkit=files), key(build=files)}) == 4


@pytest.mark.parametrize("name", RECIPES)
def test_every_group_has_a_list_for_the_lock(name: str) -> None:
    recipe = load_recipe(name).recipe
    graph = build_graph(recipe)
    assert set(graph["lock"].inputs) == set(inputs_of(recipe))
    assert "lock" not in graph.ancestors("verify")
