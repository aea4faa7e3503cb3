"""The sections [assets], [run] and [clean]: what they take, and which mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bake.errors import UsageError
from generator.recipe import load_recipe
from generator.resolve.assets import assets_folder, requests

SECTIONS = """
[toolkit]
source = "runfile"
asset = "cuda-installer"

[assets.cuda-installer]
url = "https://example.org/cuda/cuda_12.8.0_linux.run"
alternatives = ["https://example.cn/cuda/cuda_12.8.0_linux.run"]
size = 5382238770

[run]
input = "/input"
output = "/output"
license = "/fs_license.txt"
arguments = ["{input}", "{output}", "participant"]
defaults = { "--fs_license_file" = "{license}", "--device" = "{device}" }
resume = ["--resume"]

[clean]
images = ["small:step1"]
"""


@pytest.fixture
def recipe(minimal, write_recipe):
    return load_recipe(str(write_recipe(minimal + SECTIONS))).recipe


def test_the_sections_are_read(recipe):
    assert recipe.assets["cuda-installer"].file_name == "cuda_12.8.0_linux.run"
    assert recipe.run is not None
    assert recipe.run.license_ == "/fs_license.txt"
    assert recipe.run.gpu
    assert recipe.clean.images == ("small:step1",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/cuda_12.8.0_linux.run", "/", "its address ends in no file name; give one with file"),
        ('url = "https:', 'url = "ftp:', "is not an http or https address"),
        ("size = 5382238770", "size = 0", "greater than 0"),
        ("size = 5382238770", 'file = "../x"', "is not a plain file name"),
        ('"{output}", "p', '"{outputs}", "p', "{outputs} stands for nothing here; known are {device}, {input}"),
        ('license = "/fs_license.txt"\n', "", "run.defaults: {license} stands for nothing here"),
        ('"small:step1"', '"Small:1"', "clean.images.0: 'Small:1' is not a valid image reference"),
        ('"small:step1"', '"small:1"', "small:1 is what the recipe makes"),
        ("resume =", "resumes =", 'unknown key; did you mean "resume"?'),
    ],
)
def test_mistakes_are_told_with_their_line(minimal, write_recipe, old, new, message):
    assert old in SECTIONS
    with pytest.raises(UsageError) as caught:
        load_recipe(str(write_recipe(minimal + SECTIONS.replace(old, new))))
    assert message in str(caught.value)
    assert "recipe.toml:" in str(caught.value)


def test_requests_ask_mirrors_first_and_stay_the_same_asset(recipe):
    (plain,) = requests(recipe)
    assert plain.sources == (
        "https://example.org/cuda/cuda_12.8.0_linux.run",
        "https://example.cn/cuda/cuda_12.8.0_linux.run",
    )
    (mirrored,) = requests(recipe, sources=lambda url: (url.replace("https://example.org", "http://lab"), url))
    assert mirrored.sources[0] == "http://lab/cuda/cuda_12.8.0_linux.run"
    assert mirrored.sources[1:] == plain.sources
    assert mirrored.key == plain.key


def test_the_folder_of_assets(tmp_path):
    assert assets_folder(tmp_path / "x", {}) == tmp_path / "x"
    assert assets_folder(None, {"XDG_CACHE_HOME": "/cache"}) == Path("/cache/image-uplift/assets")
    assert assets_folder(None, {"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/image-uplift/assets"
