"""What of a lock still fits a recipe."""

from __future__ import annotations

import pytest

from bake.errors import UsageError
from generator.recipe import Recipe, load_recipe
from generator.recipe.fit import apply_lock, fit, with_facts
from generator.recipe.groups import FETCHER_IMAGE, inputs_of
from generator.recipe.lock import Lock, LockedAsset, LockedImage, LockedPackage

DIGEST, OTHER = "sha256:" + "d" * 64, "sha256:" + "e" * 64
ONE, TWO = "1" * 64, "2" * 64
HERE = "linux/amd64"
MORE = """
[toolkit]
source = "wheels"
install = ["cuda-toolkit==13.0.2"]

[extensions.torch-scatter]
source = "sdist"
version = "2.1.2"
sha256 = "{sha256}"

[extensions.more]
source = "archive"
asset = "tool"
version = "1"

[assets.tool]
url = "https://example.org/tool.tar.gz"
"""


@pytest.fixture
def recipe(minimal, write_recipe):
    return load_recipe(str(write_recipe(minimal + MORE.format(sha256=ONE)))).recipe


@pytest.fixture
def lock(recipe):
    found = Lock(
        schema=2,
        recipe="small",
        platform=HERE,
        base=LockedImage(image="base:1", digest=DIGEST),
        fetcher=LockedImage(image=FETCHER_IMAGE, digest=OTHER),
        assets={"tool": LockedAsset(url="https://example.org/tool.tar.gz", sha256=TWO, size=123)},
        packages={"torch-scatter": LockedPackage(version="2.1.2", sha256=ONE)},
        files={group: {f"{group}-1-py3-none-any.whl": ONE} for group in inputs_of(recipe)},
    )
    return found.model_copy(update={"inputs": inputs_of(with_facts(recipe, found))})


def changed(recipe: Recipe, section: str, **values) -> Recipe:
    part = getattr(recipe, section)
    if isinstance(part, dict):
        new = {name: entry.model_copy(update=values) for name, entry in part.items()}
    else:
        new = part.model_copy(update=values)
    return recipe.model_copy(update={section: new})


def test_its_facts_come_into_the_recipe(recipe, lock):
    applied = apply_lock(recipe, lock, origin="x", platform=HERE)
    assert (applied.stale, applied.missing) == ((), ())
    assert applied.recipe.base.image == f"base:1@{DIGEST}"
    assert (applied.recipe.assets["tool"].sha256, applied.recipe.assets["tool"].size) == (TWO, 123)
    assert applied.files == lock.files
    assert applied.fetcher == f"{FETCHER_IMAGE}@{OTHER}"
    assert set(lock.files) == {"stack", "requirements", "build", "apt", "toolkit"}


def test_what_is_locked_is_applied_once(recipe, lock):
    once = apply_lock(recipe, lock, origin="x", platform=HERE)
    assert apply_lock(once.recipe, lock, origin="x", platform=HERE) == once


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        (
            "toolkit",
            {"install": ("cuda-toolkit==13.1.0",)},
            "files.toolkit: it is for cuda-toolkit==13.0.2, and the recipe asks for cuda-toolkit==13.1.0",
        ),
        (
            "toolkit",
            {"apt": ("g++", "ccache", "git")},
            "files.apt: it is for less, and the recipe asks for git",
        ),
    ],
)
def test_what_is_stale_is_told_and_not_used(recipe, lock, section, values, said):
    other = changed(recipe, section, **values)
    applied = apply_lock(other, lock, origin="x", platform=HERE)
    (sentence,) = applied.stale
    assert sentence.startswith(said)
    assert getattr(applied.recipe, section) == getattr(other, section)
    group = said.partition(":")[0].removeprefix("files.")
    assert set(applied.files) == set(lock.files) - {group}


def test_another_asset_is_another_source_of_what_is_required(recipe, lock):
    other = changed(recipe, "assets", url="https://example.org/2.gz")
    applied = apply_lock(other, lock, origin="x", platform=HERE)
    assert applied.stale == (
        "assets.tool: it locks https://example.org/tool.tar.gz, and the recipe uses https://example.org/2.gz",
        f"files.requirements: it is for more content {TWO}, and the recipe asks for more content https://example.org/2.gz",
    )
    assert applied.recipe.assets == other.assets


@pytest.mark.parametrize(
    ("name", "values", "new"),
    [
        ("more", {"commit": "a" * 40}, f"more commit {'a' * 40}"),
        ("more", {"env": {"WITH": "numpy"}}, "more env WITH=numpy"),
        ("torch-scatter", {"sha256": TWO, "version": "2.1.3"}, f"torch-scatter==2.1.3, torch-scatter sha256 {TWO}"),
    ],
)
def test_what_another_source_requires_is_not_locked(recipe, lock, name, values, new):
    extensions = {**recipe.extensions, name: recipe.extensions[name].model_copy(update=values)}
    found = fit(recipe.model_copy(update={"extensions": extensions}), lock, platform=HERE)
    assert any(s.startswith("files.requirements: ") and s.endswith(f"asks for {new}") for s in found.stale)
    assert set(found.lock.files) == set(lock.files) - {"requirements"}


def test_another_commit_of_a_repository_is_another_source(minimal, write_recipe):
    text = '[toolkit]\nsource = "image"\nimage = "devel:1"\n[extensions.x]\nsource = "git"\nversion = "1"\n'
    text += 'url = "https://example.org/x.git"\ncommit = "{}"\n'
    one, two = (inputs_of(load_recipe(str(write_recipe(minimal + text.format(letter * 40)))).recipe) for letter in "ab")
    assert set(one["requirements"]) ^ set(two["requirements"]) == {f"x commit {letter * 40}" for letter in "ab"}


def test_another_stack_leaves_what_does_not_depend_on_it(recipe, lock):
    found = fit(changed(recipe, "stack", install=("torch==2.12.0",)), lock, platform=HERE)
    said = "it is for torch==2.11.0, and the recipe asks for torch==2.12.0"
    assert found.stale == (f"files.stack: {said}", f"files.requirements: {said}")
    assert set(found.lock.files) == set(found.lock.inputs) == {"build", "apt", "toolkit"}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("base:2", "base: it is for base:1, and base:2 is used"),
        (f"base:1@{OTHER}", f"base: it locks {DIGEST}, and {OTHER} is used"),
    ],
)
def test_on_another_base_no_file_is_used(recipe, lock, image, said):
    applied = apply_lock(changed(recipe, "base", image=image), lock, origin="x", platform=HERE)
    assert applied.recipe.base.image == image
    assert applied.files == {}
    assert applied.stale == (said,)
    assert set(applied.missing) == {f"files.{group}" for group in lock.files}


def test_another_fetcher_is_not_the_locked_one(recipe, lock):
    other = lock.model_copy(update={"fetcher": LockedImage(image="python:2", digest=DIGEST)})
    applied = apply_lock(recipe, other, origin="x", platform=HERE)
    assert applied.fetcher is None
    assert applied.stale == (f"fetcher: it locks python:2, and {FETCHER_IMAGE} is used",)


def test_files_of_another_platform_are_not_used(recipe, lock):
    applied = apply_lock(recipe, lock, origin="x", platform="linux/arm64")
    assert applied.files == {}
    assert applied.stale == ("platform: it is for linux/amd64, and linux/arm64 is built for",)
    assert set(applied.missing) == {f"files.{group}" for group in lock.files}


def test_what_is_gone_or_new_is_stale(recipe, lock):
    without = recipe.model_copy(update={"assets": {}, "extensions": {}, "toolkit": None})
    assert set(apply_lock(without, lock, origin="x", platform=HERE).stale) == {
        "assets.tool: the recipe has no such asset",
        "packages.torch-scatter: the recipe compiles no such package",
        *(f"files.{group}: the recipe needs no such files" for group in ("apt", "build", "requirements", "toolkit")),
    }
    empty = Lock(schema=2, recipe="small", platform=HERE)
    found = apply_lock(recipe, empty, origin="x", platform=HERE)
    assert found.stale == ()
    assert set(found.missing) == {"base", "assets.tool", *(f"files.{group}" for group in lock.files)}


def test_what_is_left_out_is_not_told(recipe, lock):
    files = {group: files for group, files in lock.files.items() if group != "apt"}
    base = LockedImage(image="base:1")
    left = lock.model_copy(update={"base": base, "unlocked": ("base", "apt"), "files": files})
    applied = apply_lock(recipe, left, origin="x", platform=HERE)
    assert (applied.stale, applied.missing) == ((), ())
    assert applied.recipe.base.image == "base:1"
    assert applied.files == files
    elsewhere = apply_lock(changed(recipe, "base", image="base:2"), left, origin="x", platform=HERE)
    assert elsewhere.files == {}


def test_a_prebuilt_wheel_is_for_a_version_and_a_page(recipe):
    deepprep = load_recipe("deepprep").recipe
    assert inputs_of(deepprep)["prebuilt-pyg-lib"] == (
        "pyg-lib==0.5.0+pt27cu128",
        "from https://data.pyg.org/whl/torch-2.7.0+cu128.html",
    )
    assert not [group for group in inputs_of(recipe) if group.startswith("prebuilt")]


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("assets", {"sha256": ONE}, f"assets.tool: sha256 {ONE} in the recipe, {TWO} in the lock"),
        ("assets", {"size": 5}, "assets.tool: size 5 in the recipe, 123 in the lock"),
    ],
)
def test_a_contradiction_is_a_mistake(recipe, lock, section, values, said):
    with pytest.raises(UsageError) as caught:
        apply_lock(changed(recipe, section, **values), lock, origin="my.lock.toml", platform=HERE)
    assert said in caught.value.message
    assert caught.value.where == "my.lock.toml"


def test_another_hash_of_a_package_is_a_mistake(recipe, lock):
    other = lock.model_copy(update={"packages": {"torch-scatter": LockedPackage(version="2.1.2", sha256=TWO)}})
    with pytest.raises(UsageError, match=f"packages.torch-scatter: sha256 {ONE} in the recipe, {TWO} in the lock"):
        apply_lock(recipe, other, origin="x", platform=HERE)


def test_another_recipes_lock_is_refused(recipe):
    with pytest.raises(UsageError, match="this is the lock of other, not of small"):
        apply_lock(recipe, Lock(schema=2, recipe="other"), origin="x", platform=HERE)


def test_a_lock_of_the_first_schema_is_told_what_to_do(recipe):
    with pytest.raises(UsageError) as caught:
        apply_lock(recipe, Lock(schema=1, recipe="small"), origin="x", platform=HERE)
    assert "of schema 1" in caught.value.message
    assert caught.value.remedy is not None
    assert caught.value.remedy.startswith("run `lock` again")
