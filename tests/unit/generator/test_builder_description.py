"""A builder in a site file or a recipe: what is valid, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.building import described_by
from generator.errors import UsageError
from generator.recipe import Recipe, load_recipe
from generator.resolve import Choices, resolve
from generator.site import SiteFile, load_site


def site_of(folder: Path, text: str) -> SiteFile:
    (folder / "site.toml").write_text(text)
    return load_site(folder / "site.toml", recipe="demo")


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        site_of(folder, text)
    return caught.value.message.splitlines()[1:]


def test_a_plain_name_stays_valid(tmp_path: Path, demo: Recipe) -> None:
    site = site_of(tmp_path, 'builder = "farm"')
    described = described_by(demo, "demo", site)
    assert described is not None
    assert described.description.name == "farm"
    assert not described.makes("farm")  # it names one; `builder up` has nothing to make it of


def test_the_sites_builder_comes_before_the_recipes_and_an_option_before_both(tmp_path: Path) -> None:
    text = Path(load_recipe.__code__.co_filename).parents[1].joinpath("recipes/demo.toml").read_text()
    recipe = tmp_path / "own.toml"
    table = '[builder]\nname = "of-recipe"\ndriver = "remote"\nendpoint = "tcp://a:1"\n'
    recipe.write_text(f"{text}\n{table}")
    loaded = load_recipe(str(recipe)).recipe
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    alone = resolve(loaded, Choices(recipe=str(recipe), site=empty))
    assert alone.builder == "of-recipe"
    assert alone.described is not None
    assert alone.described.path("ca.pem") == (tmp_path / "ca.pem").resolve()
    site_of(tmp_path, table.replace("of-recipe", "of-site"))
    assert resolve(loaded, Choices(recipe=str(recipe))).builder == "of-site"
    chosen = resolve(loaded, Choices(recipe=str(recipe), builder="chosen"))
    assert chosen.builder == "chosen"
    assert chosen.described is not None
    assert not chosen.described.makes(chosen.builder)


def test_all_mistakes_are_told_at_once_with_line_and_near_match(tmp_path: Path) -> None:
    rows = mistakes(
        tmp_path,
        """registy = "x"
[builder]
name = "farm"
driver = "kubernets"
[builder.kubernetes]
replica = 2
requests.cpus = "8"
labels = { "a b" = "c" }
[builder.buildkitd]
max-parallelism = 0
gc.keep-duration = "30 days"
""",
    )
    assert [row.strip().split(":")[0] for row in rows] == [f"line {n}" for n in (1, 4, 6, 7, 8, 10, 11)]
    text = "\n".join(rows)
    for part in ('did you mean "registry"?', 'did you mean "replicas"?', 'did you mean "cpu"?', "buildx can pass on"):
        assert part in text


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('name = "x"\n[builder.kubernetes]\nreplicas = 2', "builder.kubernetes: needs a driver"),
        ('name = "my farm"\ndriver = "docker-container"', "is no name for a new builder"),
        ('name = "default"\ndriver = "docker-container"', "is no name for a new builder"),
        ('name = "x"\ndriver = "remote"', "builder.endpoint: missing"),
        ('name = "x"\ndriver = "docker-container"\n[builder.kubernetes]', 'this table is for "kubernetes"'),
        ('name = "x"\ndriver = "remote"\nendpoint = "tcp://a:1"\n[builder.buildkitd]', "settings of its own"),
        ('name = "x"\ndriver = "remote"\nendpoint = "tcp://a:1"\n[builder.remote]\ncert = "c"', "cert and key go tog"),
        ('name = "x"\ndriver = "remote"\nendpoint = "tcp://a:1"\n[builder.remote]\nservername = "c"', "cacert is miss"),
        (
            'name = "x"\ndriver = "remote"\nendpoint = "tcp://a:1"\n[[builder.nodes]]\nendpoint = "tcp://b:1"',
            "either this or [[builder.nodes]]",
        ),
        (
            'name = "x"\ndriver = "docker-container"\n[[builder.nodes]]\nendpoint = "ctx"\nkey = "k"',
            "builder.nodes.0.key: only for driver",
        ),
        ('name = "x"\ndriver = "kubernetes"\nendpoint = "kubernetes://"', "current kubeconfig"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, table: str, message: str) -> None:
    rows = mistakes(tmp_path, f"[builder]\n{table}\n")
    assert any(message in row and row.strip().startswith("line ") for row in rows), rows
