"""The section [device] of a recipe, and what is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from bake.errors import UsageError
from generator.plan import build_graph, specs
from generator.recipe import load_recipe
from generator.render import render

CPU = '[device.tensorflow]\naction = "cpu"\nup-to = "9.0"\nreason = "fails on Blackwell"\n'
Writer = Callable[[str], Path]


def image_files(path: Path) -> dict[str, str]:
    files = render(build_graph(load_recipe(str(path)).recipe))
    folder = PurePosixPath("contexts/image")
    return {str(name.relative_to(folder)): text.decode() for name, text in files.items() if name.is_relative_to(folder)}


def test_the_image_gets_the_hook_only_where_a_recipe_asks_for_it(minimal: str, write_recipe: Writer) -> None:
    files = image_files(write_recipe(minimal + CPU))
    assert files["device/image_uplift_device.pth"] == (
        'import image_uplift_device; image_uplift_device.install({"tensorflow": {"up_to": "9.0"}})\n'
    )
    assert "def hold_back" in files["device/image_uplift_device.py"]
    assert "install -m 0644 /uplift/device/*" in files["Dockerfile"]
    others = image_files(write_recipe(minimal + CPU.replace('"cpu"', '"inform"').replace('up-to = "9.0"\n', "")))
    assert list(others) == ["Dockerfile"]
    assert "device" not in others["Dockerfile"].replace("io.image-uplift", "")


def test_verification_is_told_the_rules_and_the_cards(minimal: str, write_recipe: Writer) -> None:
    spec = json.loads(specs.verify_json(load_recipe(str(write_recipe(minimal + CPU))).recipe))
    assert spec["device"] == {"tensorflow": {"action": "cpu", "up_to": "9.0", "reason": "fails on Blackwell"}}
    assert spec["cards"]


@pytest.mark.parametrize("name", ["deepprep", "deepprep-cu130"])
def test_deepprep_says_what_happens_to_tensorflow(name: str) -> None:
    rule = load_recipe(name).recipe.device["tensorflow"]
    assert (rule.action, rule.up_to) == ("cpu", "9.0")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("device.tensorflow", "device.jax", "device.jax.action: only tensorflow can be kept on the CPU from outside"),
        (
            'up-to = "9.0"\n',
            "",
            'device.tensorflow.up-to: missing; it is the latest card that tensorflow runs on, such as "9.0"',
        ),
        ('"cpu"', '"fail"', 'device.tensorflow.up-to: only action = "cpu" has it'),
        ('"9.0"', '"9.0a"', "9.0a is no card"),
        ('"cpu"', '"cpus"', "device.tensorflow.action"),
        ("up-to", "upto", 'did you mean "up-to"'),
        ('reason = "fails on Blackwell"\n', "", "device.tensorflow.reason"),
    ],
)
def test_each_mistake_has_its_message(minimal: str, write_recipe: Writer, old: str, new: str, message: str) -> None:
    assert old in CPU
    with pytest.raises(UsageError) as error:
        load_recipe(str(write_recipe(minimal + CPU.replace(old, new))))
    assert message in str(error.value)


def test_a_range_of_pythons_has_one_form(minimal: str, write_recipe: Writer) -> None:
    with pytest.raises(UsageError, match=r"a range of Python releases such as"):
        load_recipe(str(write_recipe(minimal.replace('cuda = "', 'python = ">=3.10"\ncuda = "', 1))))
