from __future__ import annotations

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from bake.errors import EnvironmentUnfit, UsageError
from generator.recipe.lock import (
    Lock,
    LockedAsset,
    LockedImage,
    LockedPackage,
    _quoted,
    as_toml,
    lock_path,
    package_of,
    parse_lock,
    pins_of,
    write_lock,
)

DIGEST = "sha256:" + "d" * 64
ONE, TWO = "1" * 64, "2" * 64
TORCH = "torch-2.11.0-cp310-cp310-manylinux_2_28.whl"


@pytest.fixture
def lock():
    return Lock(
        schema=2,
        recipe="small",
        platform="linux/amd64",
        unlocked=("apt",),
        base=LockedImage(image="base:1", digest=DIGEST),
        fetcher=LockedImage(image="python:3", digest=DIGEST),
        assets={"tool": LockedAsset(url="https://example.org/tool.run", sha256=TWO, size=123)},
        packages={"torch-scatter": LockedPackage(version="2.1.2", sha256=ONE)},
        inputs={"stack": ("torch==2.11.0", "torch-geometric==2.7.0"), "build": ("ninja==1.13.0",)},
        files={"stack": {TORCH: ONE, "jinja2-3.1.6-py3-none-any.whl": TWO}, "build": {}},
    )


def test_a_lock_reads_as_it_was_written(lock):
    text = as_toml(lock, origin="recipe.toml", version="1")
    assert parse_lock(text, origin="x") == lock
    assert (
        text
        == """\
# Written by `lock` of image-uplift 1 from recipe.toml. Do not edit it: run `lock` again.
schema = 2
recipe = "small"
platform = "linux/amd64"
unlocked = ["apt"]

[base]
image = "base:1"
digest = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"

[fetcher]
image = "python:3"
digest = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"

[assets.tool]
url = "https://example.org/tool.run"
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"
size = 123

[packages.torch-scatter]
version = "2.1.2"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"

[inputs]
build = [
    "ninja==1.13.0",
]
stack = [
    "torch==2.11.0",
    "torch-geometric==2.7.0",
]

[files.build]

[files.stack]
"jinja2-3.1.6-py3-none-any.whl" = "2222222222222222222222222222222222222222222222222222222222222222"
"torch-2.11.0-cp310-cp310-manylinux_2_28.whl" = "1111111111111111111111111111111111111111111111111111111111111111"
"""
    )


def test_the_same_facts_give_the_same_bytes(lock):
    turned = lock.model_copy(
        update={
            "files": {group: dict(reversed(files.items())) for group, files in reversed(lock.files.items())},
            "inputs": dict(reversed(lock.inputs.items())),
        }
    )
    assert as_toml(turned, origin="x", version="1") == as_toml(lock, origin="x", version="1")


def test_every_mistake_in_a_lock_has_its_line():
    text = 'schema = 2\nrecipe = "small"\n[base]\nimage = "x"\ndigest = "d"\n[assets.a]\nurl = "u"\nsha265 = "1"\n'
    with pytest.raises(UsageError) as caught:
        parse_lock(text, origin="x.lock.toml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "this is not a lock:"
    assert any(line.strip().startswith("x.lock.toml:5: base.digest") for line in lines)
    assert any(line.strip().startswith("x.lock.toml:8: assets.a.sha265") for line in lines)
    with pytest.raises(UsageError, match="not valid TOML"):
        parse_lock("schema = ", origin="x")


@pytest.mark.parametrize("name", ["../torch.whl", "/torch.whl", ".torch.whl", "a b.whl", "-x.whl", "", "a" * 256])
def test_a_file_of_another_folder_is_a_mistake(name):
    with pytest.raises(UsageError, match=r"files\.stack"):
        parse_lock(f'schema = 2\nrecipe = "small"\n[files.stack]\n{_quoted(name)} = "{ONE}"\n', origin="x")


@given(st.text())
def test_any_text_is_quoted_so_that_toml_reads_it_back(text):
    text = text.encode("utf-8", "ignore").decode()
    assert tomli.loads(f"x = {_quoted(text)}")["x"] == text


@pytest.mark.parametrize(
    ("file", "package"),
    [
        (TORCH, ("torch", "2.11.0")),
        ("nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_x86_64.whl", ("nvidia-cublas", "13.1.0.3")),
        ("pyg_lib-0.5.0+pt27cu128-cp310-cp310-linux_x86_64.whl", ("pyg-lib", "0.5.0+pt27cu128")),
        ("torch-scatter-2.1.2.tar.gz", ("torch-scatter", "2.1.2")),
        ("g++-12_12.2.0-14+deb12u1_amd64.deb", ("g++-12", "12.2.0-14+deb12u1")),
        ("g++_4%3a12.2.0-3_amd64.deb", ("g++", "4:12.2.0-3")),
        ("strange", ("", "strange")),
    ],
)
def test_a_files_name_tells_its_package(file, package):
    assert package_of(file) == package


def test_pins_are_sorted_by_name():
    assert pins_of(["b-2-py3-none-any.whl", "a_x-1.0.tar.gz"]) == ("a-x==1.0", "b==2")


def test_it_stands_beside_its_recipe(tmp_path):
    assert lock_path(tmp_path / "recipe.toml") == tmp_path / "recipe.lock.toml"


def test_a_lock_is_written_once(tmp_path):
    assert write_lock("x", tmp_path / "x.lock.toml")
    assert not write_lock("x", tmp_path / "x.lock.toml")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.lock.toml"]


def test_a_lock_is_written_through_no_planted_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "elsewhere").symlink_to(folder)
    for name in ("x.lock.toml", ".x.lock.toml.new"):
        (folder / name).symlink_to(victim)
    assert write_lock("x", tmp_path / "elsewhere" / "x.lock.toml")
    assert victim.read_text() == "mine"
    assert not (folder / "x.lock.toml").is_symlink()
    assert (folder / "x.lock.toml").read_text() == "x"


def test_a_lock_that_can_not_be_written(tmp_path):
    with pytest.raises(EnvironmentUnfit, match="can't be written"):
        write_lock("x", tmp_path / "none" / "x.lock.toml")


def test_as_many_mistakes_as_a_file_holds_are_told_one_by_one() -> None:
    """Each needs its line, and looking for that through all lines took the square of their number."""
    count = 20_000
    text = 'schema = 2\nrecipe = "x"\n' + "".join(f"[packages.p{number}]\n" for number in range(count))
    with pytest.raises(UsageError) as failure:
        parse_lock(text, origin="x")
    assert failure.value.message.count("\n") == 2 * count
    assert f"x:{count + 2}: packages.p{count - 1}.sha256: Field required" in failure.value.message
