from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from generator.plan import build_graph
from generator.plan.keys import Key, changes, keys_of
from generator.recipe import load_recipe
from generator.recipe.model import Recipe
from generator.render import render

BASE = "sha256:" + "1" * 64
WHEEL = "wheel-torch-scatter"


def recipe(**changed: object) -> Recipe:
    """Give the demo's recipe with other values: section__key=value."""
    data = load_recipe("demo").recipe.model_dump(by_alias=True, exclude_unset=True)
    for path, value in changed.items():
        *outer, last = path.split("__")
        place = data
        for key in outer:
            place = place[key]
        place[last] = value
    return Recipe.model_validate(data)


def keys(
    what: Recipe, *, base: str = BASE, platform: str = "linux/amd64", origin: str = "", **variables: str
) -> dict[str, Key]:
    graph = build_graph(what, origin=origin)
    archs = {"TORCH_CUDA_ARCH_LIST": ";".join(what.stack.archs)}
    return keys_of(graph, render(graph), variables={**archs, **variables}, base=base, platform=platform)


KNOWN = keys(recipe())


@pytest.mark.parametrize(
    ("what", "facts"),
    [
        (recipe(stack__archs=["12.0"]), {}),
        (recipe(stack__install=["torch==2.12.0", "torch-geometric==2.7.0"]), {}),
        (recipe(toolkit__install=["cuda-toolkit[cccl,crt,cudart,nvcc,nvvm]==13.0.3"]), {}),
        (recipe(stack__cuda="13.1"), {}),
        (recipe(base__prefix="/opt/other"), {}),
        (recipe(), {"base": "sha256:" + "2" * 64}),
        (recipe(), {"platform": "linux/arm64"}),
        (
            recipe(**{"extensions__torch-scatter": {"source": "sdist", "version": "2.1.2", "sha256": "a" * 64}}),
            {},
        ),
        (
            recipe(
                **{
                    "extensions__torch-scatter": {
                        "source": "sdist",
                        "version": "2.1.2",
                        "sha256": "69b3aa435f2424ac6a1bfb6ff702da6eb73b33ca0db38fb26989c74159258e47",
                        "env": {"FORCE_ONLY_CUDA": "0"},
                    }
                }
            ),
            {},
        ),
    ],
    ids=["archs", "torch", "toolkit", "cuda", "prefix", "base", "platform", "source", "flags"],
)
def test_what_a_wheel_depends_on_changes_its_key(what: Recipe, facts: dict[str, str]) -> None:
    assert keys(what, **facts)[WHEEL].digest != KNOWN[WHEEL].digest


@pytest.mark.parametrize(
    ("what", "facts"),
    [
        (recipe(), {"MAX_JOBS": "1", "NVCC_THREADS": "4", "REGISTRY": "127.0.0.1:5000", "BASE_IMAGE": "other:1"}),
        (recipe(name="other"), {}),
        (recipe(image__tag="other:1"), {}),
        (recipe(), {"origin": "/somewhere/else.toml"}),
        (recipe(models__sugar__probe__seed=7), {}),
        (recipe(stack__remove=["pytorch3d", "something"]), {}),
        (recipe(**{"extensions__torch-scatter__requires": ["iopath==0.1.9"]}), {}),
    ],
    ids=["machine and names", "recipe name", "tag", "path", "models", "removed packages", "what comes in with it"],
)
def test_what_it_does_not_depend_on_leaves_its_key(what: Recipe, facts: dict[str, str]) -> None:
    assert keys(what, **facts)[WHEEL] == KNOWN[WHEEL]


def test_another_extension_changes_only_its_own_wheel() -> None:
    changed = keys(
        recipe(**{"extensions__torch-spline-conv": {"source": "sdist", "version": "1.2.1", "sha256": "b" * 64}})
    )
    assert changed[WHEEL] == KNOWN[WHEEL]
    assert changed["wheel-torch-spline-conv"] != KNOWN["wheel-torch-spline-conv"]
    assert changed["image"].digest != KNOWN["image"].digest


def test_a_models_change_reaches_what_is_made_of_models_and_nothing_else() -> None:
    changed = keys(recipe(models__sugar__probe__seed=7))
    moved = {name for name, key in changed.items() if key.digest != KNOWN[name].digest}
    assert moved == {"extract", "rebuild", "image", "verify"}


def test_a_wheel_that_needs_another_changes_with_it() -> None:
    archive = {"source": "sdist", "version": "1.0", "sha256": "c" * 64, "needs": ["torch-scatter"]}
    one = recipe(**{"extensions__torch-spline-conv": archive})
    two = recipe(
        **{
            "extensions__torch-spline-conv": archive,
            "extensions__torch-scatter": {"source": "sdist", "version": "2.1.1", "sha256": "d" * 64},
        }
    )
    assert keys(one)["wheel-torch-spline-conv"] != keys(two)["wheel-torch-spline-conv"]


def test_changes_name_what_is_new_gone_and_different() -> None:
    assert changes({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"}) == [
        ("b", "2", "4"),
        ("c", "3", ""),
        ("d", "", "5"),
    ]


def test_the_header_of_a_dockerfile_is_no_input_and_its_second_line_is() -> None:
    graph = build_graph(recipe())
    files = render(graph)
    place = PurePosixPath("contexts", WHEEL, "Dockerfile")
    known = keys_of(graph, files, variables={}, base=BASE, platform="p")[WHEEL]
    header, _, rest = files[place].partition(b"\n")
    assert keys_of(graph, {**files, place: b"# other\n" + rest}, variables={}, base=BASE, platform="p")[WHEEL] == known
    assert (
        keys_of(graph, {**files, place: header + b"\n# more\n" + rest}, variables={}, base=BASE, platform="p")[WHEEL]
        != known
    )


@pytest.mark.parametrize(
    ("asset", "changed"),
    [
        ("pytorch3d", {"source-pytorch3d", "wheel-pytorch3d"}),
        ("cuda-installer", {"toolchain", "wheel-pytorch3d"}),
    ],
)
def test_what_a_mirror_serves_instead_is_another_source(asset: str, changed: set[str]) -> None:
    what = load_recipe("deepprep").recipe
    graph = build_graph(what, origin="")
    url, sha256 = what.assets[asset].url, str(what.assets[asset].sha256)

    def with_checksums(checksums: dict[str, str]) -> dict[str, Key]:
        return keys_of(graph, render(graph), variables={}, base=BASE, platform="p", checksums=checksums)

    known = with_checksums({})
    other = with_checksums({url: "f" * 64})
    assert with_checksums({url: sha256, "https://elsewhere.example/x": "f" * 64}) == known
    assert {name for name in changed if other[name].digest != known[name].digest} == changed
    assert "f" * 64 in other["wheel-pytorch3d"].inputs.values()
