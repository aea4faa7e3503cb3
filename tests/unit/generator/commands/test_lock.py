"""What `lock` keeps of an earlier lock, what it adds, and what `lock --check` tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bake.buildx.builder_facts import BuilderFacts, NodeFacts
from bake.errors import Drifted, EnvironmentUnfit, UsageError
from generator import pipeline
from generator.baking.preflight import built_for
from generator.commands.lock import (
    LockOptions,
    base_digest,
    builder_platform,
    check,
    earlier,
    images_to_lock,
    kept,
    locked,
    missing,
    save,
    with_assets,
    with_files,
    written_to,
)
from generator.console.reporter import Reporter
from generator.recipe import Recipe, load_recipe, shipped
from generator.recipe.groups import FETCHER_IMAGE
from generator.recipe.lock import Lock, LockedImage, lock_path
from generator.resolve.choices import Choices
from generator.resolve.facts import Facts
from generator.resolve.resolve import this_platform

DIGEST, OTHER = "sha256:" + "d" * 64, "sha256:" + "e" * 64
ONE, TWO = "1" * 64, "2" * 64
HERE = "linux/amd64"
LOCKED_FETCHER = LockedImage(image=FETCHER_IMAGE, digest=OTHER)
EVERYTHING = ("stack", "requirements", "build", "apt")
TORCH, JINJA = "torch-2.11.0-cp310-cp310-manylinux_2_28_x86_64.whl", "jinja2-3.1.6-py3-none-any.whl"
NINJA = "ninja-1.13.0-py3-none-manylinux2014_x86_64.whl"
MORE = """
[toolkit]
source = "image"
image = "devel:1"
build-requires = ["ninja==1.13.0"]

[extensions.torch-scatter]
source = "sdist"
version = "2.1.2"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
"""


@pytest.fixture
def recipe(minimal, write_recipe):
    return load_recipe(str(write_recipe(minimal + MORE))).recipe


@pytest.fixture
def lock(recipe):
    """A lock of all that the recipe needs."""
    empty = Lock(schema=2, recipe="small", platform=HERE)
    images = {"base": LockedImage(image="base:1", digest=DIGEST), "fetcher": LOCKED_FETCHER}
    made = with_assets(recipe, empty.model_copy(update=images), {})
    return with_files(
        recipe, made, {"build": {NINJA: ONE}, "stack": {TORCH: ONE, JINJA: TWO}, "requirements": {}, "apt": {}}
    )


def facts_of(recipe: Recipe) -> Facts:
    return Facts(tag="x:1", registry="", base=recipe.base.image, archs="12.0", ca_bundle=None, platform=HERE)


def on_base(recipe: Recipe, image: str) -> Recipe:
    return recipe.model_copy(update={"base": recipe.base.model_copy(update={"image": image})})


def stays(recipe, before, *names, upgrade=False, without=()):
    options = LockOptions(upgrade=upgrade, names=names, without=without)
    return kept(recipe, before, options, platform=HERE)


def test_a_lock_beside_the_recipe_is_found(recipe, lock, tmp_path):
    path = tmp_path / "recipe.toml"
    nothing = locked(recipe, str(path), None, platform=HERE)
    assert (nothing.recipe, nothing.files, nothing.missing) == (
        recipe,
        {},
        (
            "base",
            *(f"files.{group}" for group in EVERYTHING),
        ),
    )
    assert lock_path(path) == tmp_path / "recipe.lock.toml" == written_to(str(path))
    assert save(lock, origin="recipe.toml", path=lock_path(path))
    assert not save(lock, origin="recipe.toml", path=lock_path(path))
    applied = locked(recipe, str(path), None, platform=HERE)
    assert applied.recipe.base.image == f"base:1@{DIGEST}"
    assert applied.files["stack"] == {TORCH: ONE, JINJA: TWO}
    assert earlier(recipe, lock_path(path)) == lock


def test_the_rendered_file_names_the_locked_images(lock, tmp_path):
    path = tmp_path / "recipe.toml"
    save(lock.model_copy(update={"platform": this_platform()}), origin="recipe.toml", path=lock_path(path))
    pipeline.render(Reporter(), Choices(recipe=str(path), output=tmp_path / "out"))
    text = (tmp_path / "out/docker-bake.hcl").read_text()
    assert f'"base:1@{DIGEST}"' in text
    assert f'"{FETCHER_IMAGE}@{OTHER}"' in text


def test_the_lock_of_a_shipped_recipe_stands_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    demo = load_recipe("demo").recipe
    empty = Lock(schema=2, recipe="demo", platform=HERE)
    lock = empty.model_copy(update={"base": LockedImage(image=demo.base.image, digest=DIGEST)})
    save(lock, origin="demo.toml", path=written_to("demo"))
    assert (tmp_path / "demo.lock.toml").is_file()
    assert locked(demo, "demo", None, platform=HERE).recipe.base.image.endswith(DIGEST)


def test_no_lock_counts_as_a_recipe():
    assert not [name for name in shipped() if name.endswith(".lock")]


def test_a_lock_that_is_named_has_to_be_there(recipe, tmp_path):
    with pytest.raises(UsageError, match="the lock can't be read"):
        locked(recipe, "small", tmp_path / "none.lock.toml", platform=HERE)
    assert earlier(recipe, tmp_path / "none.lock.toml") is None


def test_what_is_locked_stays(recipe, lock):
    found = stays(recipe, lock)
    assert (found.lock, found.preferred) == (lock, {})
    assert missing(recipe, found.lock) == ()
    assert images_to_lock(recipe, found.lock, facts_of(recipe), own_fetcher=False) == found.lock


def test_only_what_no_longer_fits_is_made_anew(recipe, lock):
    other = recipe.model_copy(update={"stack": recipe.stack.model_copy(update={"install": ("torch==2.12.0",)})})
    found = stays(other, lock)
    assert missing(other, found.lock) == ("stack", "requirements")
    assert found.lock.files == {"build": {NINJA: ONE}, "apt": {}}
    assert found.lock.base == lock.base


def test_a_lock_of_the_first_schema_gets_files(recipe, lock):
    first = Lock(schema=1, recipe="small", base=lock.base)
    found = stays(recipe, first).lock
    assert (found.schema_, found.platform, found.base) == (2, HERE, lock.base)
    assert missing(recipe, found) == EVERYTHING


def test_everything_is_made_anew(recipe):
    assert LockOptions(upgrade=True).everything_anew
    found = stays(recipe, None, upgrade=True).lock
    assert (found.base, found.files) == (None, {})
    assert missing(recipe, found) == EVERYTHING


def test_one_package_is_made_anew_and_the_others_keep_their_version(recipe, lock):
    found = stays(recipe, lock, "Jinja2", upgrade=True)
    assert found.preferred == {"stack": ("torch==2.11.0",), "requirements": ()}
    assert missing(recipe, found.lock) == ("stack", "requirements")
    assert found.lock.files == {"build": {NINJA: ONE}, "apt": {}}
    assert found.lock.base == lock.base


@pytest.mark.parametrize(
    ("part", "left"),
    [
        ("base", set()),
        ("build", {"stack", "requirements", "apt"}),
        ("apt", {"stack", "requirements", "build"}),
        ("stack", {"build", "apt"}),
    ],
)
def test_one_part_is_made_anew(recipe, lock, part, left):
    found = stays(recipe, lock, part, upgrade=True)
    assert set(found.lock.files) == left
    assert not any(found.preferred.values())
    assert (found.lock.base is None) == (part == "base")


def test_a_name_that_is_not_in_the_lock_is_told(recipe, lock):
    with pytest.raises(UsageError, match="the lock has no package 'jinja'") as caught:
        stays(recipe, lock, "jinja", upgrade=True)
    assert 'did you mean "jinja2"?' in str(caught.value)
    with pytest.raises(UsageError, match="there is no part 'tools' to leave out"):
        stays(recipe, lock, without=("tools",))


def test_what_is_left_out_stays_out_until_it_is_asked_for(recipe, lock):
    found = stays(recipe, lock, without=("base", "apt")).lock
    assert found.unlocked == ("base", "apt")
    images = images_to_lock(recipe, found, facts_of(recipe), own_fetcher=False)
    assert images.base == LockedImage(image="base:1")
    assert images.fetcher == LOCKED_FETCHER
    assert missing(recipe, found) == ()
    assert stays(recipe, found).lock == found
    again = stays(recipe, found, "apt", upgrade=True).lock
    assert again.unlocked == ("base",)
    assert missing(recipe, again) == ("apt",)


@pytest.mark.parametrize(
    "options", [{"names": ("torch",)}, {"check": True, "upgrade": True}, {"check": True, "without": ("apt",)}]
)
def test_options_that_contradict_each_other_are_refused(options):
    with pytest.raises(UsageError):
        LockOptions(**options)


@pytest.fixture
def today(monkeypatch):
    """What the base's name stands for."""
    found = {"digest": DIGEST}
    monkeypatch.setattr("generator.commands.lock.base_digest", lambda *_, **__: found["digest"])
    return found


@pytest.mark.usefixtures("today")
def test_a_lock_that_fits_passes_and_says_what_was_asked(recipe, lock, tmp_path):
    assert check(recipe, lock, facts_of(recipe), path=tmp_path) == "fits the recipe, and the base has not moved"
    left = lock.model_copy(update={"unlocked": ("base",), "base": LockedImage(image="base:1")})
    assert check(recipe, left, facts_of(recipe), path=tmp_path) == "fits the recipe, and does not lock the base"


def test_all_that_drifted_is_told(recipe, lock, today, tmp_path):
    today["digest"] = OTHER
    other = recipe.model_copy(update={"stack": recipe.stack.model_copy(update={"install": ("torch==2.12.0",)})})
    with pytest.raises(Drifted) as caught:
        check(other, lock, facts_of(recipe), path=tmp_path)
    assert caught.value.exit_status == 1
    assert "files.stack: it is for torch==2.11.0, and the recipe asks for torch==2.12.0" in caught.value.message
    assert f"base: base:1 is {OTHER} now, and {DIGEST} is locked" in caught.value.message


def test_no_lock_has_drifted_too(recipe, tmp_path):
    with pytest.raises(Drifted, match="there is no lock"):
        check(recipe, None, facts_of(recipe), path=tmp_path)
    with pytest.raises(Drifted, match=r"files\.stack: the lock does not have it yet"):
        check(recipe, Lock(schema=2, recipe="small", platform=HERE), facts_of(recipe), path=tmp_path)
    first = Lock(schema=1, recipe="small", base=LockedImage(image="base:2", digest=DIGEST))
    with pytest.raises(Drifted, match="it is of schema 1"):
        check(recipe, first, facts_of(recipe), path=tmp_path)


def test_a_fetcher_of_the_place_is_not_locked(recipe, lock):
    bare = lock.model_copy(update={"fetcher": None})
    assert images_to_lock(recipe, bare, facts_of(recipe), own_fetcher=True).fetcher is None


def test_the_fetcher_is_locked_as_it_is_found(recipe, lock, monkeypatch):
    monkeypatch.setattr("generator.commands.lock.image_digest", lambda *_, **__: OTHER)
    bare = lock.model_copy(update={"fetcher": None})
    assert images_to_lock(recipe, bare, facts_of(recipe), own_fetcher=False) == lock


def test_a_digest_that_the_recipe_pins_needs_no_engine(recipe, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    pinned = on_base(recipe, f"base:1@{DIGEST}")
    assert base_digest(pinned, facts_of(pinned)) == DIGEST


def test_no_engine_and_no_registry_says_both(recipe, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    absent = on_base(recipe, "127.0.0.1:1/base:1")
    with pytest.raises(EnvironmentUnfit) as caught:
        base_digest(absent, facts_of(absent))
    assert "no Docker Engine answers" in caught.value.message
    assert "127.0.0.1:1 does not give it" in caught.value.message
    assert str(caught.value.remedy).endswith("or leave it out: lock --without base")


@pytest.mark.parametrize("name", ["demo", "deepprep", "deepprep-cu130"])
def test_the_locks_that_ship_are_not_stale(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    applied = locked(load_recipe(name).recipe, name, None, platform=HERE)
    assert applied.files
    assert applied.stale == ()


@pytest.fixture
def arm(monkeypatch):
    """A builder of another platform than this machine's."""
    node = NodeFacts(name="arm0", endpoint="tcp://arm:1234", status="running", platforms=("linux/arm64",))
    found = BuilderFacts(name="arm", driver="remote", nodes=(node,))
    monkeypatch.setattr("bake.buildx.builders.look_up", lambda name: found if name == "arm" else None)
    return found


@pytest.mark.usefixtures("arm")
def test_a_lock_is_for_the_platform_of_the_builder(recipe, lock, tmp_path):
    path = tmp_path / "arm.lock.toml"
    save(lock.model_copy(update={"platform": "linux/arm64"}), origin="x", path=path)
    assert builder_platform("arm", platform=HERE) == "linux/arm64"
    applied = locked(recipe, "small", path, platform=HERE, builder="arm")
    assert (applied.files, applied.stale, applied.platform) == (lock.files, (), "linux/arm64")


def test_nobody_asks_a_builder_that_fits_and_none_that_can_not_tell_decides(recipe, lock, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    path = tmp_path / "small.lock.toml"
    save(lock.model_copy(update={"platform": "linux/arm64"}), origin="x", path=path)
    applied = locked(recipe, "small", path, platform=HERE, builder="nonexistent")
    assert (applied.files, applied.platform) == ({}, HERE)
    monkeypatch.setattr("bake.buildx.builders.look_up", lambda _: pytest.fail("a builder is asked"))
    save(lock, origin="x", path=path)
    assert locked(recipe, "small", path, platform=HERE, builder="arm").files == lock.files


def test_files_of_a_lock_are_used_on_their_platform_alone(recipe, lock, arm):
    facts = replace(facts_of(recipe), files=lock.files)
    with pytest.raises(EnvironmentUnfit, match="linux/amd64, and this builder builds for linux/arm64") as caught:
        built_for(arm, facts)
    assert caught.value.where == "arm"
    assert built_for(None, facts) == HERE
    assert built_for(arm, facts_of(recipe)) == "linux/arm64"
