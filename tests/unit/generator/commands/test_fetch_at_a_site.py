"""Assets at a site: its mirrors, its logins, its folder, and what a lock makes of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli

from bake.errors import EnvironmentUnfit
from generator.baking.assets import assets_at_hand
from generator.recipe import load_recipe
from generator.resolve.choices import Choices
from generator.resolve.resolve import resolve
from generator.resolve.site import load_site

TOP = Path(__file__).parents[4]
ORIGINAL = "https://downloads.invalid/"
RECIPE = """\
schema = 2
name = "small"
summary = "A small recipe"

[image]
tag = "small:1"

[base]
image = "base@sha256:{digest}"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["torch==2.11.0"]

[toolkit]
source = "runfile"
asset = "tool"

[assets.tool]
url = "{original}files/tool.run"
sha256 = "{sha256}"
"""
LOCK = ("lock", "--without", "stack", "--without", "fetcher")  # nothing is built or asked for


@pytest.fixture
def run(tmp_path):
    def command(source, *arguments, sha256, site="", named="site.toml"):
        text = RECIPE.format(original=ORIGINAL, digest="a" * 64, sha256=sha256)
        (tmp_path / "small.toml").write_text(text)
        mirror = source.url.removesuffix("files/tool.run")
        rows = f'assets = "kept"\nnetrc = "logins"\n[mirrors]\n"{ORIGINAL}" = "{mirror}"\n{site}'
        (tmp_path / "site.toml").write_text(rows)
        (tmp_path / "logins").write_text("machine 127.0.0.1 login me password secret\n")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GENERATOR_")}
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "small.toml", *arguments],
            cwd=tmp_path,
            env={
                **environment,
                "PYTHONPATH": str(TOP),
                "no_proxy": "*",
                "HOME": str(tmp_path),
                "GENERATOR_SITE": named,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def test_a_site_file_beside_a_recipe_is_not_used_and_said_once(sources, run, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password own\n")
    done = run(source := sources(), "lock", sha256="0" * 64, named="")
    assert done.returncode == 3
    assert source.asked == []
    assert done.stderr.count("site.toml is not used; --site site.toml uses it") == 1
    assert run(sources(), "render", sha256="0" * 64).stderr.count("is not used") == 0


def digest(content):
    return hashlib.sha256(content).hexdigest()


def test_an_asset_comes_from_the_mirror_with_its_login_into_the_sites_folder(sources, run, tmp_path):
    source = sources(login="Basic bWU6c2VjcmV0")
    done = run(source, "fetch", sha256=digest(source.content))
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip().split("\t")[2])
    assert path.is_relative_to(tmp_path / "kept")
    assert path.read_bytes() == source.content


def test_what_a_mirror_serves_instead_has_its_own_checksum(sources, run):
    source = sources(content=b"a stand-in" * 100)
    assert run(source, "fetch", sha256="0" * 64).returncode == 3
    checksums = f'[checksums]\n"{ORIGINAL}files/tool.run" = "{digest(source.content)}"\n'
    done = run(source, "fetch", sha256="0" * 64, site=checksums)
    assert done.returncode == 0, done.stderr


def test_a_lock_never_holds_what_a_mirror_serves_instead(sources, run, tmp_path):
    source = sources(content=b"a stand-in" * 100)
    checksums = f'[checksums]\n"{ORIGINAL}files/tool.run" = "{digest(source.content)}"\n'
    done = run(source, *LOCK, sha256="0" * 64, site=checksums)
    assert done.returncode == 3
    assert not (tmp_path / "small.lock.toml").exists()


def test_a_bake_takes_what_was_fetched(sources, run, tmp_path):
    source = sources()
    assert run(source, "fetch", sha256=digest(source.content)).returncode == 0
    assets, _ = at_hand(tmp_path / "small.toml", site=tmp_path / "site.toml")
    assert (assets["tool"] / "tool.run").read_bytes() == source.content
    assert assets["tool"].is_relative_to(tmp_path / "kept")


def test_the_lock_of_a_fetched_asset(sources, run, tmp_path):
    source = sources()
    done = run(source, *LOCK, sha256=digest(source.content))
    assert done.returncode == 0, done.stderr
    locked = tomli.loads((tmp_path / "small.lock.toml").read_text())["assets"]["tool"]
    assert locked == {"url": f"{ORIGINAL}files/tool.run", "sha256": digest(source.content), "size": 3000000}


def at_hand(file, *, site=None, names=("tool",), **choices):
    """Find the assets that a bake takes from this machine, and what is said meanwhile."""
    recipe = load_recipe(str(file)).recipe
    facts = resolve(recipe, Choices(recipe=str(file), **choices), load_site(site))
    said: list[str] = []
    reporter: Any = SimpleNamespace(note=said.append, warning=lambda text: said.append(f"warning: {text}"))
    return assets_at_hand(reporter, recipe, facts, names), said


@pytest.fixture
def lying(tmp_path):
    """Decide what a bake uses of the assets folder, as it lies there."""

    def use(content, *, names=("tool",), sha256=None):
        text = RECIPE.format(original=ORIGINAL, digest="a" * 64, sha256=sha256 or digest(content))
        (tmp_path / "small.toml").write_text(text)
        folder = tmp_path / "kept"
        folder.mkdir(exist_ok=True)
        if not (folder / "tool.run").exists():
            (folder / "tool.run").write_bytes(content)
        return at_hand(tmp_path / "small.toml", names=names, assets_dir=folder)

    return use


def test_a_bake_takes_what_lies_there_under_its_own_name(lying, tmp_path):
    assets, said = lying(b"content")
    assert [path.name for path in assets["tool"].iterdir()] == ["tool.run"]
    assert (assets["tool"] / "tool.run").read_bytes() == b"content"
    assert (tmp_path / "kept/tool.run").read_bytes() == b"content"
    assert said == [f"tool: checking {tmp_path}/kept/tool.run, which lies in the assets folder"]
    again, said = lying(b"content")
    assert (again, said) == (assets, [])  # known again, and not read
    (tmp_path / "kept/tool.run").write_bytes(b"another")  # which is the same file as what was taken
    with pytest.raises(EnvironmentUnfit, match="asked for"):
        lying(b"content")


def test_a_link_to_it_will_do(lying, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"content")
    (tmp_path / "kept/tool.run").symlink_to(tmp_path / "elsewhere")
    assets, _ = lying(b"content")
    assert not (assets["tool"] / "tool.run").is_symlink()


def test_another_file_of_that_name_is_an_error_with_both_hashes(lying, tmp_path):
    with pytest.raises(EnvironmentUnfit) as caught:
        lying(b"other", sha256=digest(b"content"))
    assert f"{tmp_path}/kept/tool.run: its SHA-256 is {digest(b'other')}, and {digest(b'content')}" in str(caught.value)
    assert "remove it: then the build fetches it" in str(caught.value)
    assets, said = lying(b"other", sha256=digest(b"content"), names=())  # for a target that does not need it
    assert (assets, said) == ({}, [])


def test_a_folder_that_can_not_be_written_is_a_warning(lying, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("bake.assets.store.Store.adopt", refuse)
    assets, said = lying(b"content")
    assert assets == {}
    assert said[-1].startswith("warning: ")
