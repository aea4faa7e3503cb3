from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bake.errors import UsageError
from generator.plan import build_graph, specs
from generator.recipe import load_recipe
from generator.recipe.stacks import shipped_stacks, stacked

Writer = Callable[[str], Path]
OWN = '[stack]\ncuda = "13.0"\narchs = ["12.0"]\ninstall = ["torch==9.9.9"]\n'


def using(minimal: str, stack: str, *more: str) -> str:
    return minimal.partition("[stack]")[0] + "\n".join([f'[stack]\nfrom = "{stack}"', *more]) + "\n"


def test_two_stacks_ship() -> None:
    assert shipped_stacks() == ("torch2.11-cu130", "torch2.7-cu128")


def test_a_recipe_takes_versions_toolkit_and_assets_of_its_stack(minimal: str, write_recipe: Writer) -> None:
    recipe = load_recipe(str(write_recipe(using(minimal, "torch2.7-cu128")))).recipe
    assert recipe.stack.install[0] == "torch==2.7.0+cu128"
    assert recipe.stack.index == "https://download.pytorch.org/whl/cu128"
    assert recipe.toolkit is not None
    assert recipe.toolkit.asset_name == "cuda-installer"
    assert recipe.assets["cuda-installer"].file_name == "cuda_12.8.0_570.86.10_linux.run"


def test_keys_of_the_recipe_are_laid_over_the_stacks(minimal: str, write_recipe: Writer) -> None:
    text = using(minimal, "torch2.7-cu128", 'archs = ["12.0"]', 'also = ["torch-geometric==2.7.0"]')
    recipe = load_recipe(str(write_recipe(text))).recipe
    assert recipe.stack.archs == ("12.0",)
    assert recipe.stack.packages[-1] == "torch-geometric==2.7.0"
    assert recipe.stack.cuda == "12.8"


def test_another_kind_of_toolkit_takes_nothing_of_the_stacks(minimal: str, write_recipe: Writer) -> None:
    text = using(minimal, "torch2.7-cu128", '[toolkit]\nsource = "image"\nimage = "cuda:12.8"')
    recipe = load_recipe(str(write_recipe(text))).recipe
    assert recipe.toolkit is not None
    assert (recipe.toolkit.asset_name, recipe.toolkit.devel_image) == (None, "cuda:12.8")
    assert recipe.assets == {}


@pytest.mark.parametrize("folder", ["", "stacks"])
def test_a_third_stack_is_a_file_and_no_python(minimal: str, write_recipe: Writer, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "mine.toml").write_text(OWN)
    recipe = load_recipe(str(write_recipe(using(minimal, "mine")))).recipe
    assert recipe.stack.install == ("torch==9.9.9",)
    assert "torch==9.9.9" in build_graph(recipe)["torch"].description


def test_a_stack_beside_the_recipe_comes_before_a_shipped_one(
    minimal: str, write_recipe: Writer, tmp_path: Path
) -> None:
    (tmp_path / "torch2.7-cu128.toml").write_text(OWN)
    assert load_recipe(str(write_recipe(using(minimal, "torch2.7-cu128")))).recipe.stack.cuda == "13.0"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("torch2.7-cu182", None, 'did you mean "torch2.7-cu128"?'),
        ("mine", "[stack", "the stack can't be read"),
        ("mine", '[base]\nimage = "x"\n', "a stack holds only the tables stack, toolkit, assets, not base"),
        ("mine", OWN.replace("==9.9.9", ""), "is not pinned"),
    ],
)
def test_what_is_wrong_with_a_stack_is_said(
    minimal: str, write_recipe: Writer, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / f"{name}.toml").write_text(content)
    with pytest.raises(UsageError) as caught:
        load_recipe(str(write_recipe(using(minimal, name))))
    assert message in str(caught.value)


def test_a_recipe_without_a_stack_is_given_back_as_it_is() -> None:
    raw = {"stack": {"cuda": "13.0"}}
    assert stacked(raw, origin="x", beside=None) is raw


def test_the_recipe_of_the_guide_has_its_stack_exactly() -> None:
    recipe = load_recipe("deepprep").recipe
    assert recipe.stack.packages == (
        "torch==2.7.0+cu128",
        "torchvision==0.22.0+cu128",
        "torchaudio==2.7.0+cu128",
        "torch-geometric==2.7.0",
    )
    assert {name: specs.full_version(recipe, name) for name in recipe.extensions} == {
        "pytorch3d": "0.7.9",
        "torch-scatter": "2.1.2+pt27cu128",
        "torch-sparse": "0.6.18+pt27cu128",
        "torch-cluster": "1.6.3+pt27cu128",
        "torch-spline-conv": "1.2.2+pt27cu128",
        "pyg-lib": "0.5.0+pt27cu128",
    }
    assert (recipe.image.tag, recipe.base.image) == ("deepprep:25.1.0-rtx5090", "pbfslab/deepprep:25.1.0")
    assert recipe.stack.archs == ("8.0", "8.6", "9.0", "12.0")
    kept = {"tensorflow", "numpy", "nnunet", "nvidia-cudnn-cu11", "nvidia-cublas-cu11"}
    assert not kept & set(specs.released(recipe))


def test_the_second_recipe_needs_no_page_no_index_and_no_installer() -> None:
    recipe = load_recipe("deepprep-cu130").recipe
    assert (recipe.stack.index, recipe.stack.find_links) == (None, None)
    assert set(recipe.assets) == {"pytorch3d"}
    assert {extension.source for extension in recipe.extensions.values()} == {"archive", "sdist"}
    assert "pyg-lib" in specs.removed(recipe)
    assert recipe.models == load_recipe("deepprep").recipe.models
