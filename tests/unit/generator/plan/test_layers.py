"""A limit on layers: from option, environment and site to the graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bake.errors import UsageError
from generator.cli.app import app
from generator.plan import build_graph
from generator.plan.layers import INSTALLED_MIB, MOST, part_count
from generator.recipe import Recipe, load_recipe
from generator.render import render


def with_installed(mib: int | None) -> Recipe:
    recipe = load_recipe("demo").recipe
    return recipe.model_copy(update={"stack": recipe.stack.model_copy(update={"installed_mib": mib})})


@pytest.mark.parametrize(
    ("installed", "limit", "count"),
    [
        (4502, None, 1),
        (4502, 5000, 1),
        (4502, 4700, 3),  # the archive has more bytes than the files: 1.05 * 4502 > 4700
        (4502, 700, 8),
        (None, 700, -(-INSTALLED_MIB * 105 // 70_000) + 1),
        (None, 9000, 1),
    ],
)
def test_how_many_layers(installed: int | None, limit: int | None, count: int) -> None:
    assert part_count(with_installed(installed), limit) == count


def test_a_limit_that_would_need_too_many_layers_is_refused_with_the_least_that_will_do() -> None:
    recipe = with_installed(4502)
    with pytest.raises(UsageError, match="would need 474, and an image can have 127") as caught:
        part_count(recipe, 10)
    assert caught.value.remedy == "give at least 76, or correct stack.installed-mib in the recipe"
    assert part_count(recipe, 76) == MOST


def test_only_the_image_starts_from_the_layers() -> None:
    graph = build_graph(with_installed(4502), layer_limit_mib=700)
    assert graph["image"].inputs["layers"] == "layers"
    assert [target.name for target in graph.targets if "layers" in target.inputs.values()] == ["image"]
    assert graph["wheel-torch-scatter"].inputs["torch"] == "torch"
    assert graph["rebuild"].inputs["torch"] == "torch"
    assert "8 layers of at most 700 MiB" in graph["layers"].description


def test_a_limit_that_the_stack_keeps_changes_nothing() -> None:
    recipe = with_installed(4502)
    assert render(build_graph(recipe, layer_limit_mib=5000)) == render(build_graph(recipe))


@pytest.mark.parametrize(
    ("options", "environment", "site", "limit"),
    [
        (["--layer-limit-mib", "700"], {"GENERATOR_LAYER_LIMIT_MIB": "800"}, "layer-limit-mib = 900", 700),
        ([], {"GENERATOR_LAYER_LIMIT_MIB": "800"}, "layer-limit-mib = 900", 800),
        ([], {}, "layer-limit-mib = 900", 900),
        ([], {}, "", None),
    ],
)
def test_option_before_environment_before_site(
    tmp_path: Path, options: list[str], environment: dict[str, str], site: str, limit: int | None
) -> None:
    (tmp_path / "site.toml").write_text(site)
    command = ["-r", "demo", "plan", "--format", "json", "--site", str(tmp_path / "site.toml"), *options]
    done = CliRunner().invoke(app, command, env=environment)
    assert done.exit_code == 0, done.output
    texts = {target["name"]: target["description"] for target in json.loads(done.stdout)["targets"]}
    assert ("layers" in texts) == (limit is not None)
    assert limit is None or f"of at most {limit} MiB" in texts["layers"]


@pytest.mark.parametrize("value", ["0", "-1", '"700"', "1.5"])
def test_a_site_file_with_another_limit_than_a_whole_number_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "site.toml").write_text(f"layer-limit-mib = {value}")
    done = CliRunner().invoke(app, ["-r", "demo", "plan", "--site", str(tmp_path / "site.toml")])
    assert isinstance(done.exception, UsageError)
    assert "layer-limit-mib" in str(done.exception)
