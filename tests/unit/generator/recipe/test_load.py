from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bake.errors import UsageError
from generator.recipe import load_recipe, shipped
from generator.recipe.places import key_lines, line_of

Writer = Callable[[str], Path]


def mistakes(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_recipe(str(path))
    assert caught.value.exit_status == 2
    return str(caught.value)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_is_valid_and_named_as_its_file(name: str) -> None:
    assert load_recipe(name).recipe.name == name


def test_a_minimal_recipe_loads(minimal: str, write_recipe: Writer) -> None:
    recipe = load_recipe(str(write_recipe(minimal))).recipe
    assert recipe.stack.archs == ("12.0",)
    assert recipe.extensions == {}


def test_the_recipe_is_frozen(minimal: str, write_recipe: Writer) -> None:
    recipe = load_recipe(str(write_recipe(minimal))).recipe
    with pytest.raises(ValueError, match="frozen"):
        recipe.name = "other"


def test_all_mistakes_come_at_once_with_line_and_near_match(minimal: str, write_recipe: Writer) -> None:
    text = minimal.replace('prefix = "/opt/env"', 'prefx = "/opt/env"').replace('["12.0"]', '["sm_120"]')
    text = text.replace('"torch==2.11.0"', '"torch"').replace('tag = "small:1"', "tag = 3")
    said = mistakes(write_recipe(text))
    assert "recipe.toml:6: image.tag: input should be a valid string, not 3" in said
    assert "recipe.toml:8: base.prefix: missing" in said
    assert 'recipe.toml:10: base.prefx: unknown key; did you mean "prefix"?' in said
    assert "recipe.toml:14: stack.archs.0: 'sm_120' is not a compute capability; write \"12.0\"" in said
    assert "recipe.toml:15: stack.install.0: 'torch' is not pinned" in said
    assert "5 mistakes" in said


def test_an_unknown_key_deep_inside_names_its_neighbours(demo_text: str, write_recipe: Writer) -> None:
    said = mistakes(write_recipe(demo_text.replace("sha256 =", "sha526 =", 1)))
    assert 'extensions.torch-scatter.sha526: unknown key; did you mean "sha256"?' in said


def test_a_kebab_key_is_suggested_as_it_is_written(demo_text: str, write_recipe: Writer) -> None:
    said = mistakes(write_recipe(demo_text.replace("may-change", "may_change", 1)))
    assert 'stack.may_change: unknown key; did you mean "may-change"?' in said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('needs = ["torch-scatter"]', 'needs = ["torch-scater"]', "there is no [extensions.torch-scater]"),
        ('tag = "deepprep-demo:uplifted"', 'tag = "Deepprep Demo"', "image.tag"),
        ('image = "deepprep-demo:25.1.0"', 'image = "a//b"', "base.image"),
        ('archs = ["9.0", "12.0"]', 'archs = ["7.0"]', "CUDA 12.9 was the last"),
        (
            'shape = ["vertices", 2]',
            'shape = ["vertex", 2]',
            "models.sugar.probe.inputs.0.shape: 'vertex' is neither a whole number nor a named size",
        ),
        ("[toolkit]\nsource", "[stack.toolkit]\nsource", "unknown key"),
        ('prefix = "/opt/conda', 'prefix = "opt/conda', "is not an absolute path"),
        ("schema = 2", "schema = 3", "schema: input should be 2"),
        ('name = "demo"', 'name = "Demo"', "is not a name"),
    ],
)
def test_each_kind_of_mistake_has_its_message(
    old: str, new: str, message: str, demo_text: str, write_recipe: Writer
) -> None:
    assert old in demo_text
    assert message in mistakes(write_recipe(demo_text.replace(old, new, 1)))


def test_extensions_need_a_toolkit(minimal: str, write_recipe: Writer) -> None:
    extension = f'\n[extensions.x]\nsource = "sdist"\nversion = "1"\nsha256 = "{"0" * 64}"\n'
    assert "no [toolkit] says with what" in mistakes(write_recipe(minimal + extension))


def test_a_constructor_argument_has_one_origin(demo_text: str, write_recipe: Writer) -> None:
    text = demo_text + '\n[models.sugar.construct."net.Net".dropout]\nattribute = "dropout"\nvalue = 0.5\n'
    assert "construct.net.Net.dropout: must have either 'attribute' or 'value'" in mistakes(write_recipe(text))


def test_broken_toml_names_the_line(write_recipe: Writer) -> None:
    assert "line 2" in mistakes(write_recipe('schema = 1\nname = "x\n'))


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert "No such file" in mistakes(tmp_path / "none.toml")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "x.toml").mkdir()
    assert "can't be read" in mistakes(tmp_path / "x.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"name = '\xff'")
    assert "not UTF-8" in mistakes(path)


def test_an_unknown_name_gets_the_near_one() -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("dmeo")
    assert 'did you mean "demo"?' in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "any.toml"
    path.write_text(text, encoding="utf-8", errors="ignore")
    with pytest.raises(UsageError):
        load_recipe(str(path))


def test_lines_of_dotted_and_quoted_keys() -> None:
    lines = key_lines('[a.b]\n"c d".e = 1\n[[f]]\nx=2\n')
    within = {("a",): 1, ("a", "b", "c d"): 2}
    assert lines == {("a", "b"): 1, ("a", "b", "c d", "e"): 2, ("f",): 3, ("f", "x"): 4, **within}
    assert line_of(lines, ["a", "b", "nothing"]) == 1
    assert line_of(lines, ["a"]) == 1
    assert line_of(lines, ["zzz"]) is None
