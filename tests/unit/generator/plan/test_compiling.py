from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from bake.errors import UsageError
from generator.plan import build_graph
from generator.recipe import Recipe, load_recipe
from generator.recipe.fit import with_facts
from generator.recipe.lock import Lock, LockedAsset
from generator.render import render

Writer = Callable[[str], Path]
TAIL = """
[toolkit]
source = "wheels"
install = ["cuda-toolkit==13.0.2"]

[assets.code]
url = "https://example.org/code.tar.gz"
sha256 = "{sha}"
"""


@pytest.fixture
def deepprep() -> Recipe:
    return load_recipe("deepprep").recipe


def test_a_wheel_without_fallback_waits_for_no_toolchain(deepprep: Recipe) -> None:
    graph = build_graph(deepprep)
    assert graph.ancestors("wheel-pyg-lib") == {"tools", "inventory", "source-pyg-lib"}
    assert "toolchain" in graph.ancestors("wheel-torch-scatter")


def test_without_anything_to_compile_there_is_no_toolchain(deepprep: Recipe) -> None:
    only = {"pyg-lib": deepprep.extensions["pyg-lib"]}
    models = {name: models.model_copy(update={"needs": ()}) for name, models in deepprep.models.items()}
    graph = build_graph(deepprep.model_copy(update={"extensions": only, "toolkit": None, "models": models}))
    assert "toolchain" not in graph.names


def test_compilers_are_there_whatever_the_recipe_lists(deepprep: Recipe) -> None:
    assert deepprep.toolkit is not None
    toolkit = deepprep.toolkit.model_copy(update={"apt": ("cmake",)})
    apt = build_graph(deepprep.model_copy(update={"toolkit": toolkit}))["fetch-apt"].values["packages"]
    assert apt == ("cmake", "g++", "ccache")


def test_the_toolchain_is_held_to_the_stacks_release(deepprep: Recipe) -> None:
    dockerfile = render(build_graph(deepprep))[PurePosixPath("contexts/toolchain/Dockerfile")].decode()
    assert "*'release 12.8'*" in dockerfile


def test_the_archs_are_enforced_unless_an_extension_keeps_its_own(deepprep: Recipe) -> None:
    extensions = dict(deepprep.extensions)
    extensions["torch-sparse"] = extensions["torch-sparse"].model_copy(update={"own_archs": True})
    files = render(build_graph(deepprep.model_copy(update={"extensions": extensions})))
    for name, own in (("torch-sparse", True), ("pytorch3d", False)):
        text = files[PurePosixPath(f"contexts/wheel-{name}/Dockerfile")].decode()
        assert ("--own-archs" in text) is own
        assert f"contexts/wheel-{name}/scripts/flags.py" in {str(path) for path in files}


def test_host_assets_are_contexts_that_may_be_empty(deepprep: Recipe) -> None:
    bake_file = render(build_graph(deepprep))[PurePosixPath("docker-bake.hcl")].decode()
    own = '"${BUILD_DIR}/contexts/fetch-installer"'
    assert f"assets  = given_or(ASSET_CUDA_INSTALLER, {own})" in bake_file


def test_mirrors_change_nothing_that_is_rendered(minimal: str, write_recipe: Writer) -> None:
    def files(text: str) -> dict[PurePosixPath, bytes]:
        return render(build_graph(load_recipe(str(write_recipe(text))).recipe))

    assert files(minimal) == files(minimal + '\n[mirrors]\n"https://a.example/" = "https://b.example/"\n')


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('[extensions.x]\nsource = "wheel"\nversion = "1"\n', "a prebuilt wheel needs a page of links"),
        ('[extensions.x]\nsource = "sdist"\nversion = "1"\n', "extensions.x.sha256: missing"),
        (
            '[extensions.x]\nsource = "wheel"\nversion = "1"\npage = "https://e.org/"\nfallback = "sdist"\n',
            "extensions.x.sha256: missing",
        ),
        (
            '[extensions.x]\nsource = "wheel"\nversion = "1"\npage = "https://e.org/"\nown-archs = true\n',
            "extensions.x.own-archs: nothing is compiled here",
        ),
        ('[extensions.x]\nsource = "git"\nversion = "1"\n', "extensions.x.url: missing"),
        (
            '[extensions.x]\nsource = "git"\nversion = "1"\nurl = "https://e.org/x.git"\n',
            "extensions.x.commit: missing",
        ),
        ('[extensions.x]\nsource = "archive"\nversion = "1"\n', "extensions.x.asset: missing"),
        ('[extensions.x]\nsource = "archive"\nversion = "1"\nasset = "cod"\n', "there is no [assets.cod]"),
        ('[extensions.x]\nsource = "git"\nversion = "1"\ncommit = "abc"\n', "is not a commit"),
        ('[assets.y]\nurl = "ftp://e.org/y"\n', "is not an http or https address"),
    ],
)
def test_what_a_source_lacks_is_said(minimal: str, write_recipe: Writer, section: str, message: str) -> None:
    text = minimal + TAIL.format(sha="0" * 64) + section
    with pytest.raises(UsageError) as caught:
        load_recipe(str(write_recipe(text)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("toolkit", "message"),
    [
        ('source = "wheels"', "toolkit.install: missing"),
        ('source = "image"', "toolkit.image: missing"),
        ('source = "image"\nimage = "A B"', "toolkit.image"),
        ('source = "runfile"', "toolkit.asset: missing"),
        ('source = "runfile"\nasset = "code"', "there is no [assets.code]"),
    ],
)
def test_what_a_toolkit_lacks_is_said(minimal: str, write_recipe: Writer, toolkit: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(str(write_recipe(f"{minimal}\n[toolkit]\n{toolkit}\n")))
    assert message in str(caught.value)


def test_an_asset_without_a_checksum_is_not_built_from(minimal: str, write_recipe: Writer) -> None:
    text = f'{minimal}\n[toolkit]\nsource = "runfile"\nasset = "y"\n[assets.y]\nurl = "https://e.org/y"\n'
    text += '[extensions.z]\nsource = "archive"\nasset = "y"\nversion = "1"\n'
    recipe = load_recipe(str(write_recipe(text))).recipe
    with pytest.raises(UsageError, match="has no sha256") as caught:
        build_graph(recipe)
    assert caught.value.remedy == "run `lock`, or write the sha256 into the recipe"
    lock = Lock(schema=2, recipe="small", assets={"y": LockedAsset(url="https://e.org/y", sha256="1" * 64, size=1)})
    files = render(build_graph(with_facts(recipe, lock)))
    assert f"ARG SHA256_Y={'1' * 64}" in files[PurePosixPath("contexts/fetch-installer/Dockerfile")].decode()
