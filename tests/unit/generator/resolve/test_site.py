from __future__ import annotations

from pathlib import Path

import pytest

from bake.errors import EnvironmentUnfit, UsageError
from generator.recipe import Recipe, load_recipe
from generator.resolve.choices import Choices
from generator.resolve.facts import Facts
from generator.resolve.resolve import resolve
from generator.resolve.site import beside, load_site, mirrored, mirrored_image, mirrors_of, secret_table

TABLE = {
    "https://download.pytorch.org/": "https://lab/pt/",
    "https://download.pytorch.org/whl/cu128": "https://lab/cu128",
    "docker.io/": "reg.lab/hub/",
    "pypi": "https://lab/simple",
}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.toml").write_text(text)
    return folder / "site.toml"


def test_the_longest_prefix_wins() -> None:
    assert mirrored("https://download.pytorch.org/whl/cu128/torch/", TABLE) == "https://lab/cu128/torch/"
    assert mirrored("https://download.pytorch.org/whl/cu118", TABLE) == "https://lab/pt/whl/cu118"
    assert mirrored("https://elsewhere.example/x", TABLE) == "https://elsewhere.example/x"


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("pbfslab/deepprep:25.1.0", "reg.lab/hub/pbfslab/deepprep:25.1.0"),
        ("debian:12", "reg.lab/hub/library/debian:12"),
        ("nvcr.io/nvidia/cuda:12.8", "nvcr.io/nvidia/cuda:12.8"),
        ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1"),
    ],
)
def test_images_are_looked_up_by_their_registry(image: str, found: str) -> None:
    assert mirrored_image(image, TABLE) == found


def test_a_site_is_the_one_that_is_named_or_the_users(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = write(nowhere / "config" / "image-uplift", 'registry = "reg.users"')
    assert load_site(None).site.registry == "reg.users"
    assert beside(str(own.with_name("r.toml"))) is None
    other = write(nowhere, 'registry = "reg.beside"')
    monkeypatch.chdir(nowhere)
    assert load_site(None).site.registry == "reg.users"
    assert (beside(str(nowhere / "r.toml")), beside("r.toml"), beside("r")) == (other, Path("site.toml"), None)
    chosen = write(nowhere / "other", 'registry = "reg.chosen"')
    assert load_site(chosen).site.registry == "reg.chosen"


@pytest.mark.usefixtures("nowhere")
def test_without_a_site_file_nothing_is_set() -> None:
    assert load_site(None).site.registry is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry =", "can't be read"),
        ('registy = "x"', "registy"),
        ('[checksums]\n"https://e.org/x" = "12"', "not a SHA-256"),
        ("registry = 5", "registry"),
        ('disk-gib = 2\n[builder]\nname = "farm"', "line 2: builder: no builder is described here any more: docs/"),
    ],
)
def test_mistakes_of_a_site_file_are_said(nowhere: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_site(write(nowhere, text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '[mirrors]\n"https://a/" = "https://me:canary@lab/"',
        '[mirrors]\n"https://me:canary@lab/" = "https://a/"',
        '[mirrors]\n"docker.io/" = "me:canary@lab/hub/"',
        '[mirrors]\npypi = "https://canary@lab/simple"',
        f'[checksums]\n"https://me:canary@lab/f" = "{"0" * 64}"',
    ],
)
def test_an_address_with_a_login_is_refused_and_not_shown(nowhere: Path, text: str) -> None:
    with pytest.raises(UsageError, match="with a login") as caught:
        load_site(write(nowhere, text))
    assert "canary" not in str(caught.value)
    assert "netrc: machine HOST" in str(caught.value)


def test_a_site_that_was_asked_for_must_be_there(nowhere: Path) -> None:
    with pytest.raises(UsageError, match="no such site file"):
        load_site(nowhere / "none.toml")


def settled(recipe: Recipe, choices: Choices) -> Facts:
    return resolve(recipe, choices, load_site(choices.site))


def test_option_comes_before_site_before_recipe(nowhere: Path, demo: Recipe) -> None:
    site = write(nowhere, 'registry = "reg.site/"\nbuilder = "site"\ndisk-gib = 2')
    facts = settled(demo, Choices(recipe="demo", site=site))
    assert (facts.registry, facts.builder, facts.disk_gib) == ("reg.site", "site", 2)
    facts = settled(demo, Choices(recipe="demo", site=site, registry="reg.option", builder="option"))
    assert (facts.registry, facts.builder) == ("reg.option", "option")
    facts = settled(demo, Choices(recipe="demo"))
    assert (facts.registry, facts.builder, facts.disk_gib) == ("", None, demo.image.disk_gib)


def test_rows_of_the_site_come_before_the_recipes(nowhere: Path, demo: Recipe) -> None:
    recipe = demo.model_copy(update={"mirrors": {"https://a/": "https://recipe/", "https://b/": "https://recipe/"}})
    site = load_site(write(nowhere, '[mirrors]\n"https://a/" = "https://site/"')).site
    assert mirrors_of(site, recipe) == {"https://a/": "https://site/", "https://b/": "https://recipe/"}


@pytest.mark.parametrize("row", [{"https://a/ b": "https://c/"}, {"https://a*": "https://c/"}, {"#x": "https://c/"}])
@pytest.mark.usefixtures("nowhere")
def test_rows_that_the_table_can_not_hold_are_refused(demo: Recipe, row: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="character"):
        mirrors_of(load_site(None).site, demo.model_copy(update={"mirrors": row}))


def test_paths_count_from_the_site_files_folder_and_credentials_are_read(nowhere: Path, demo: Recipe) -> None:
    site = write(nowhere / "place", 'netrc = "netrc"')
    with pytest.raises(EnvironmentUnfit, match="credentials can't be read"):
        settled(demo, Choices(recipe="demo", site=site))
    (nowhere / "place/netrc").write_text("machine lab login me password secret\n")
    facts = settled(demo, Choices(recipe="demo", site=site))
    assert facts.variables()["NETRC"] == str((nowhere / "place/netrc").resolve())


def test_the_table_for_steps_has_one_row_a_line() -> None:
    assert (
        secret_table({"https://a/": "https://b/", "pypi": "https://p/"}) == "https://a/ https://b/\npypi https://p/\n"
    )


def test_what_the_place_serves_for_an_asset_is_an_argument_of_the_build(nowhere: Path) -> None:
    recipe = load_recipe("deepprep").recipe
    site = write(nowhere, f'[checksums]\n"{recipe.assets["pytorch3d"].url}" = "{"0" * 64}"')
    variables = settled(recipe, Choices(recipe="deepprep", site=site)).variables()
    assert variables["SHA256_PYTORCH3D"] == "0" * 64
    assert "SHA256_CUDA_INSTALLER" not in variables


def test_the_fetcher_is_the_options_then_the_sites_in_the_mirror_of_its_registry(nowhere: Path, demo: Recipe) -> None:
    site = write(nowhere, 'fetcher = "lab/fetch:1"\n[mirrors]\n"docker.io/" = "reg.lab/hub/"')

    def fetcher(**options: object) -> tuple[str, str | None]:
        facts = settled(demo, Choices(recipe="demo", **options))  # type: ignore[arg-type]
        return facts.fetcher, facts.fetcher_mirror

    assert fetcher() == ("docker.io/library/python:3.12-slim-bookworm", None)
    assert fetcher(site=site) == ("lab/fetch:1", "reg.lab/hub/lab/fetch:1")
    assert fetcher(site=site, fetcher="other:2") == ("other:2", "reg.lab/hub/library/other:2")


def test_a_mirrored_base_is_a_fact_and_the_label_of_none(nowhere: Path) -> None:
    site = write(nowhere, '[mirrors]\n"docker.io/" = "reg.lab/hub/"')
    recipe = load_recipe("deepprep").recipe
    facts = settled(recipe, Choices(recipe="deepprep", site=site))
    assert facts.base == "pbfslab/deepprep:25.1.0"
    assert facts.base_mirror == "reg.lab/hub/pbfslab/deepprep:25.1.0"
