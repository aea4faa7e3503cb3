"""Keys that recipes had and have no more, and probes that are Python in a file beside the recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bake.errors import UsageError
from generator.plan import specs
from generator.recipe import load_recipe
from tests.unit.generator.recipe.test_load import mistakes

Writer = Callable[[str], Path]

OLD = """
[models.nets]
files = ["/models/*.pt"]
path = ["/code"]
class = "net.Net"
key = "model"
constructor = { dropout = { attribute = "drop.p" } }
stubs = ["pytorch3d"]
cpu-defaults = ["utils.pooling"]
restore = ["epoch"]
tolerance = { absolute = 1e-6, reason = "a test" }

[models.nets.probe]
seed = 1
sizes.width = { attribute = "width", values = { small = 4 } }
inputs = [{ name = "x", shape = ["width", 2] }]
"""


def test_each_key_of_schema_1_is_told_with_its_line_and_what_replaces_it(minimal: str, write_recipe: Writer) -> None:
    text = minimal.replace("schema = 2", "schema = 1") + OLD
    said = mistakes(write_recipe(text))
    lines = text.splitlines()
    for key, replaced in {
        "schema": "write schema = 2, and what is named below goes",
        "class": "models are carried over as they are",
        "key": 'name these in [models.nets.probe]: at = ["KEY"]',
        "constructor": 'is constructed by [models.nets.construct."module.Class"]',
        "stubs": 'every package that no "needs" leads to has one',
        "cpu-defaults": "this happens by itself",
        "restore": "with all attributes",
        "tolerance": "remove [models.nets.tolerance], or write float32 or float64",
        "sizes.width": "a size depends on the file's path",
    }.items():
        line = next(number for number, one in enumerate(lines, 1) if one.startswith(f"{key} ="))
        (found,) = (one for one in said.splitlines() if f"recipe.toml:{line}: " in one)
        assert replaced in found
    assert "9 mistakes" in said


def test_a_recipe_of_schema_1_without_models_needs_the_number_alone(minimal: str, write_recipe: Writer) -> None:
    said = mistakes(write_recipe(minimal.replace("schema = 2", "schema = 1")))
    assert "schema: this recipe is of schema 1: write schema = 2; nothing else has to change" in said
    assert "1 mistake:" in said


@pytest.mark.parametrize("given", ['["tests", "headers"]', "[]"])
def test_slim_is_told_with_its_line_and_is_to_be_deleted(minimal: str, write_recipe: Writer, given: str) -> None:
    said = mistakes(write_recipe(minimal.replace('tag = "small:1"', f'tag = "small:1"\nslim = {given}')))
    assert "recipe.toml:7: image.slim: this key went; the image has all files: delete the line" in said
    assert "1 mistake:" in said


@pytest.mark.parametrize("builder", ['builder = "farm"', '[builder]\nname = "farm"\ndriver = "remote"'])
def test_a_builder_is_no_more_described_in_a_recipe(builder: str, minimal: str, write_recipe: Writer) -> None:
    said = mistakes(write_recipe(f"# first\n{minimal}".replace("[image]", f"{builder}\n\n[image]")))
    assert "recipe.toml:6: builder: no builder is described here any more: docs/builders.md says how" in said
    assert "1 mistake:" in said


def test_other_mistakes_are_told_beside_those_of_schema_1(minimal: str, write_recipe: Writer) -> None:
    said = mistakes(write_recipe(minimal.replace("tag =", "tga =") + OLD))
    assert "models.nets.class" in said
    assert 'image.tga: unknown key; did you mean "tag"?' in said


def models(probe: str) -> str:
    return f'\n[models.nets]\nfiles = ["/models/*.pt"]\n\n[models.nets.probe]\n{probe}\n'


ANY = """
sizes.nodes = { files = { "*/small/*" = 4, "*" = 8 } }
sizes.edges = { expression = "3 * nodes" }

[[models.nets.probe.calls]]
method = "encode"
inputs = [
    { shape = ["nodes", 3], dtype = "float16", scale = 2 },
    { shape = [2, "edges"], distribution = "edges", high = "nodes" },
    { none = true },
    { name = "options", dict = { k = { list = [{ value = 0.5 }, { size = "nodes" }] }, flag = { value = true } } },
]

[[models.nets.probe.calls]]
"""


def test_inputs_of_any_kind_reach_the_specification(minimal: str, write_recipe: Writer) -> None:
    recipe = load_recipe(str(write_recipe(minimal + models(ANY)))).recipe
    (found,) = json.loads(specs.models_json(recipe))["sets"]
    assert found["probe"]["calls"] == [
        {
            "method": "encode",
            "inputs": [
                {"shape": ["nodes", 3], "dtype": "float16", "scale": 2.0},
                {"shape": [2, "edges"], "distribution": "edges", "high": "nodes"},
                {"value": None},
                {
                    "name": "options",
                    "dict": {"k": {"list": [{"value": 0.5}, {"size": "nodes"}]}, "flag": {"value": True}},
                },
            ],
        },
        {"inputs": []},
    ]


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        ("seed = 1", "models.nets.probe: must have either 'calls' or 'function'"),
        ("calls = [{}]\ninputs = [{ value = 1 }]", 'give "inputs" or "calls", not both'),
        ("inputs = [{ shape = [2], distribution = 'integers' }]", "models.nets.probe.inputs.0.high: missing"),
        ("inputs = [{ shape = [2], value = 1 }]", "probe.inputs.0: must have one of shape, value"),
        ("calls = [{ inputs = [{ size = 'n' }] }]", "probe.calls.0.inputs.0.size: 'n' is no named size"),
        ("inputs = [{ shape = [2], distribution = 'cauchy' }]", "distribution: input should be 'normal', 'uniform'"),
        ("inputs = [{ value = 1 }]\nsizes.n = { expression = 'f()' }", "sizes.n.expression: only whole numbers"),
        ("inputs = [{ value = 1 }]\nsizes.n = { match = '(', values = { a = 1 } }", "is no regular expression"),
        (
            f"inputs = [{{ value = 1 }}]\nsizes.n = {{ match = '{'(' * 5000}{')' * 5000}', values = {{ a = 1 }} }}",
            "is no regular expression",
        ),
        (
            f"inputs = [{{ value = 1 }}]\nsizes.n = {{ match = 'a{{{'9' * 30}}}', values = {{ a = 1 }} }}",
            "is no regular expression",
        ),
        ("inputs = [{ value = 1 }]\nsizes.n = {}", "probe.sizes.n: must be a number, or have 'match'"),
    ],
)
def test_a_mistake_in_a_probe_is_told_before_anything_is_built(
    probe: str, message: str, minimal: str, write_recipe: Writer
) -> None:
    assert message in mistakes(write_recipe(minimal + models(probe)))


def test_models_without_a_probe_have_a_reason(minimal: str, write_recipe: Writer) -> None:
    text = minimal + '\n[models.nets]\nfiles = ["/models/*.pt"]\n'
    assert "models.nets.unprobed: must say why the models have no probe" in mistakes(write_recipe(text))
    recipe = load_recipe(str(write_recipe(text + 'unprobed = "needs a licence server"\n'))).recipe
    (found,) = json.loads(specs.models_json(recipe))["sets"]
    assert (found["probe"], found["unprobed"]) == (None, "needs a licence server")


SOURCE = "import torch\n\n\ndef probe(checkpoint, file):\n    return checkpoint['model'](torch.ones(3))\n"


def test_a_function_travels_with_the_models(minimal: str, write_recipe: Writer) -> None:
    path = write_recipe(minimal + models('function = "probes/nets.py:probe"'))
    (path.parent / "probes").mkdir()
    (path.parent / "probes" / "nets.py").write_text(SOURCE)
    (found,) = json.loads(specs.models_json(load_recipe(str(path)).recipe))["sets"]
    assert found["probe"]["function"] == {"name": "probe", "source": SOURCE, "file": "probes/nets.py"}


@pytest.mark.parametrize(
    ("function", "source", "message"),
    [
        ("probes.py:other", SOURCE, "has no function 'other'; it has probe"),
        ("probes.py:probe", "def probe(checkpoint, file):\n    return (\n", "probes.py:2: '(' was never closed"),
        ("probes.py:probe", "def probe(checkpoint):\n    pass\n", "probes.py:1: probe takes 1 arguments"),
        ("probes.py:probe", "def probe(a, b, c):\n    pass\n", "needs more arguments than (checkpoint, file)"),
        ("probes.py:probe", "def probe(a, b, *, c):\n    pass\n", "needs more arguments than (checkpoint, file)"),
        ("probes.py:probe", "x = 1\0\n", "null bytes"),
        ("probes.py:probe", f"{SOURCE}x = {'-' * 100_000}1\n", "is no Python"),
        ("probes.py:probe", f"{SOURCE}x = {'+'.join('1' * 100_000)}\n", "is no Python"),
        ("probes.py:probe", "#" * 300_000, "has 300000 bytes; at most 262144 go into a build"),
        ("other.py:probe", SOURCE, "there is no file"),
        ("../probes.py:probe", SOURCE, "leaves the recipe's folder"),
        ("/etc/hostname.py:probe", SOURCE, "leaves the recipe's folder"),
        ("link.py:probe", SOURCE, "leaves the recipe's folder"),
        ("circle.py:probe", SOURCE, "circle.py"),
        ("probes:probe", SOURCE, "'probes:probe' is not \"FILE.py:FUNCTION\""),
        ("probes.py", SOURCE, "is not"),
    ],
)
def test_a_function_that_cannot_be_taken_is_told_with_its_place(
    function: str, source: str, message: str, minimal: str, write_recipe: Writer
) -> None:
    text = minimal + models(f'function = "{function}"')
    path = write_recipe(text)
    (path.parent / "probes.py").write_text(source)
    (path.parent / "link.py").symlink_to("/etc/hostname")
    (path.parent / "circle.py").symlink_to("circle.py")
    said = mistakes(path)
    line = text.splitlines().index(f'function = "{function}"') + 1
    assert f"recipe.toml:{line}: models.nets.probe.function: " in said
    assert message in said
    assert "1 mistake:" in said


def test_a_file_that_is_no_text_is_told(minimal: str, write_recipe: Writer) -> None:
    path = write_recipe(minimal + models('function = "probes.py:probe"'))
    (path.parent / "probes.py").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is no UTF-8 text"):
        load_recipe(str(path))
