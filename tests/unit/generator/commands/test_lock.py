from __future__ import annotations

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from bake.errors import EnvironmentUnfit, UsageError
from generator.commands.lock import base_digest, locked, make_lock, save, written_to
from generator.recipe import Recipe, load_recipe, shipped
from generator.recipe.lock import Lock, _quoted, apply_lock, as_toml, lock_path, parse_lock

DIGEST = "sha256:" + "d" * 64
ONE, TWO = "1" * 64, "2" * 64
MORE = """
[toolkit]
source = "runfile"
asset = "tool"

[extensions.torch-scatter]
source = "sdist"
version = "2.1.2"
sha256 = "{sha256}"

[assets.tool]
url = "https://example.org/tool.run"
"""


@pytest.fixture
def loaded(minimal, write_recipe):
    return load_recipe(str(write_recipe(minimal + MORE.format(sha256=ONE))))


@pytest.fixture
def lock(loaded):
    return make_lock(loaded.recipe, digest=DIGEST, assets={"tool": (TWO, 123)})


def changed(recipe: Recipe, section: str, **values) -> Recipe:
    part = getattr(recipe, section)
    if isinstance(part, dict):
        new = {name: entry.model_copy(update=values) for name, entry in part.items()}
    else:
        new = part.model_copy(update=values)
    return recipe.model_copy(update={section: new})


def test_a_lock_reads_as_it_was_written(lock):
    text = as_toml(lock, origin="recipe.toml", version="1")
    assert parse_lock(text, origin="x") == lock
    assert (
        text
        == """\
# Written by `lock` of image-uplift 1 from recipe.toml. Do not edit it: run `lock` again.
schema = 1
recipe = "small"

[base]
image = "base:1"
digest = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"

[assets.tool]
url = "https://example.org/tool.run"
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"
size = 123

[packages.torch-scatter]
version = "2.1.2"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
"""
    )


def test_its_facts_come_into_the_recipe(loaded, lock):
    applied = apply_lock(loaded.recipe, lock, origin="x")
    assert applied.stale == ()
    assert applied.recipe.base.image == f"base:1@{DIGEST}"
    assert (applied.recipe.assets["tool"].sha256, applied.recipe.assets["tool"].size) == (TWO, 123)


def test_a_lock_beside_the_recipe_is_found(loaded, lock, tmp_path):
    path = tmp_path / "recipe.toml"
    assert locked(loaded, str(path), None) is None
    assert lock_path(path) == tmp_path / "recipe.lock.toml" == written_to(str(path))
    assert save(lock, origin="recipe.toml", path=lock_path(path))
    assert not save(lock, origin="recipe.toml", path=lock_path(path))
    applied = locked(loaded, str(path), None)
    assert applied is not None
    assert applied.recipe.assets["tool"].sha256 == TWO


def test_the_lock_of_a_shipped_recipe_stands_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_recipe("demo")
    assert locked(loaded, "demo", None) is None
    save(make_lock(loaded.recipe, digest=DIGEST, assets={}), origin="demo.toml", path=written_to("demo"))
    assert (tmp_path / "demo.lock.toml").is_file()
    applied = locked(loaded, "demo", None)
    assert applied is not None
    assert applied.recipe.base.image.endswith(DIGEST)


def test_no_lock_counts_as_a_recipe():
    assert not [name for name in shipped() if name.endswith(".lock")]


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("base", {"image": "base:2"}, "base: it locks base:1, and the recipe uses base:2"),
        ("assets", {"url": "https://example.org/2.run"}, "assets.tool: it locks https://example.org/tool.run, and"),
        ("extensions", {"version": "3"}, "packages.torch-scatter: it locks 2.1.2, and the recipe uses 3"),
    ],
)
def test_what_is_stale_is_told_and_not_used(loaded, lock, section, values, said):
    recipe = changed(loaded.recipe, section, **values)
    applied = apply_lock(recipe, lock, origin="x")
    (sentence,) = applied.stale
    assert sentence.startswith(said)
    assert getattr(applied.recipe, section) == getattr(recipe, section)


def test_what_is_gone_or_new_is_stale(loaded, lock):
    without = loaded.recipe.model_copy(update={"assets": {}, "extensions": {}})
    assert apply_lock(without, lock, origin="x").stale == (
        "assets.tool: the recipe has no such asset",
        "packages.torch-scatter: the recipe compiles no such package",
    )
    more = loaded.recipe.model_copy(update={"assets": {**loaded.recipe.assets, "new": loaded.recipe.assets["tool"]}})
    assert apply_lock(more, lock, origin="x").stale == ("assets.new: the lock does not have it yet",)


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("assets", {"sha256": ONE}, f"assets.tool: sha256 {ONE} in the recipe, {TWO} in the lock"),
        ("assets", {"size": 5}, "assets.tool: size 5 in the recipe, 123 in the lock"),
        ("extensions", {"sha256": TWO}, f"packages.torch-scatter: sha256 {TWO} in the recipe, {ONE} in the lock"),
    ],
)
def test_a_contradiction_is_a_mistake(loaded, lock, section, values, said):
    with pytest.raises(UsageError) as caught:
        apply_lock(changed(loaded.recipe, section, **values), lock, origin="my.lock.toml")
    assert said in caught.value.message
    assert caught.value.where == "my.lock.toml"


def test_another_recipes_lock_is_refused(loaded):
    with pytest.raises(UsageError, match="this is the lock of other, not of small"):
        apply_lock(loaded.recipe, Lock(schema=1, recipe="other"), origin="x")


def test_every_mistake_in_a_lock_has_its_line():
    text = 'schema = 1\nrecipe = "small"\n[base]\nimage = "x"\ndigest = "d"\n[assets.a]\nurl = "u"\nsha265 = "1"\n'
    with pytest.raises(UsageError) as caught:
        parse_lock(text, origin="x.lock.toml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "this is not a lock:"
    assert any(line.strip().startswith("x.lock.toml:5: base.digest") for line in lines)
    assert any(line.strip().startswith("x.lock.toml:8: assets.a.sha265") for line in lines)
    with pytest.raises(UsageError, match="not valid TOML"):
        parse_lock("schema = ", origin="x")


@given(st.text())
def test_any_text_is_quoted_so_that_toml_reads_it_back(text):
    text = text.encode("utf-8", "ignore").decode()
    assert tomli.loads(f"x = {_quoted(text)}")["x"] == text


def test_a_digest_that_the_recipe_pins_needs_no_engine(loaded, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    pinned = changed(loaded.recipe, "base", image=f"base:1@{DIGEST}")
    assert base_digest(pinned, ca_bundle=None) == DIGEST


def test_no_engine_and_no_registry_says_both(loaded, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    absent = changed(loaded.recipe, "base", image="127.0.0.1:1/base:1")
    with pytest.raises(EnvironmentUnfit) as caught:
        base_digest(absent, ca_bundle=None)
    assert "no Docker Engine answers" in caught.value.message
    assert "127.0.0.1:1 does not give it" in caught.value.message


def test_a_lock_that_can_not_be_written(lock, tmp_path):
    with pytest.raises(EnvironmentUnfit, match="can't be written"):
        save(lock, origin="x", path=tmp_path / "none" / "x.lock.toml")


def test_as_many_mistakes_as_a_file_holds_are_told_one_by_one() -> None:
    """Each needs its line, and looking for that through all lines took the square of their number."""
    count = 20_000
    text = 'schema = 1\nrecipe = "x"\n' + "".join(f"[packages.p{number}]\n" for number in range(count))
    with pytest.raises(UsageError) as failure:
        parse_lock(text, origin="x")
    assert failure.value.message.count("\n") == 2 * count
    assert f"x:{count + 2}: packages.p{count - 1}.sha256: Field required" in failure.value.message
