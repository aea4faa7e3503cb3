"""Code of a base writes into the cache mounts of a builder: no other recipe and no other base reads them."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

import pytest

from generator.plan import build_graph
from generator.plan.keys import keys_of
from generator.recipe import Recipe, load_recipe
from generator.render import BAKE_FILE, render

_NAMESPACE = re.compile(
    r'BUILDKIT_CACHE_MOUNT_NS *= join\(" ", compact\(\[(?P<scope>".*"), BASE_IMAGE, CACHE_MOUNTS\]\)\)'
)
OF_ALL = "uplift-fetch"  # what is fetched is no code of a base's doing, and hashed when it is taken
_ID = re.compile(r"--mount=type=cache,\S*?id=([\w-]+)")


def mounts(recipe: Recipe, base: str, *, of: str = "") -> set[str]:
    """Give the ids of all cache mounts, as BuildKit puts them together."""
    files = {path: content.decode() for path, content in render(build_graph(recipe)).items()}
    found = _NAMESPACE.search(files[PurePosixPath(BAKE_FILE)])
    assert found is not None
    dockerfiles = [text for path, text in files.items() if path.name == "Dockerfile"]
    ids = {name for text in dockerfiles for name in _ID.findall(text)} - {OF_ALL}
    assert sum(text.count("type=cache") for text in dockerfiles) == sum(len(_ID.findall(t)) for t in dockerfiles)
    namespace = " ".join(filter(None, (json.loads(found["scope"]), base, of)))
    return {f"{namespace}/{name}" for name in ids}


@pytest.mark.parametrize("name", ["demo", "deepprep", "deepprep-cu130"])
def test_each_recipe_on_each_base_has_cache_mounts_of_its_own(name: str) -> None:
    recipe = load_recipe(name).recipe
    own = mounts(recipe, "base:1@sha256:11")
    assert len(own) == 1
    assert own == mounts(recipe, "base:1@sha256:11")
    moved = recipe.base.model_copy(update={"prefix": "/opt/other"})
    for other in (
        mounts(recipe, "base:1@sha256:22"),
        mounts(recipe, "base:1@sha256:11", of="pull-request"),
        mounts(recipe.model_copy(update={"name": "other"}), "base:1@sha256:11"),
        mounts(recipe.model_copy(update={"base": moved}), "base:1@sha256:11"),
    ):
        assert not own & other


def test_every_target_has_the_namespace_but_those_that_fetch(demo: Recipe) -> None:
    graph = build_graph(demo)
    text = render(graph)[PurePosixPath(BAKE_FILE)].decode()
    fetching = sum(target.fetches for target in graph.targets)
    other = text.partition('target "_fetching" {')[2].partition("\n}\n")[0]
    assert 'BUILDKIT_CACHE_MOUNT_NS = join(" ", compact(["fetched", CACHE_MOUNTS]))' in other
    assert text.count("BUILDKIT_CACHE_MOUNT_NS") == 2
    assert len(re.findall(r'^  inherits += \["_fetching"\]', text, re.MULTILINE)) == fetching > 0
    assert len(re.findall(r"^  inherits", text, re.MULTILINE)) == text.count("\ntarget ") - 1


def test_the_namespace_is_what_the_graph_says(demo: Recipe) -> None:
    graph = build_graph(demo)
    assert {mount.rpartition("/")[0] for mount in mounts(demo, "base:1")} == {graph.cache_scope("base:1")}


def test_no_key_holds_it(demo: Recipe) -> None:
    def keys(recipe: Recipe) -> dict[str, str]:
        graph = build_graph(recipe)
        found = keys_of(graph, render(graph), variables={}, base="sha256:11", platform="linux/amd64")
        return {name: key.digest for name, key in found.items() if name.startswith("wheel-")}

    assert keys(demo) == keys(demo.model_copy(update={"name": "other"}))
