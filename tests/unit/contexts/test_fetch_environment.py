"""What the frozen image says of itself is a stranger's word: read strictly, before a resolver gets it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from contexts.fetch import choice, environment, pages, resolve

GOOD: dict[str, Any] = {
    "python": "3.10.14",
    "packages": {"numpy": "1.26.4", "torch": "2.0.1+cu118", "old": "2004d-beta!", "mine": "1.0"},
    "editable": {"mine": "/src\n--index-url https://evil.example"},
    "requires": {"numpy": [], "torch": ["filelock", "x @ https://evil.example/x.whl", "-r /run/secrets/netrc", "a\nb"]},
    "platform": {"implementation": "cpython", "machine": "x86_64", "glibc": "2.35"},
}


def read(tmp_path: Path, **changes: Any) -> environment.Environment:
    (tmp_path / "inventory.json").write_text(json.dumps({**GOOD, **changes}))
    return environment.read(tmp_path / "inventory.json")


def test_names_versions_and_requirements_of_an_index_count(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.packages == {"numpy": "1.26.4", "torch": "2.0.1+cu118", "mine": "1.0"}
    assert found.requires["torch"] == ("filelock",)
    assert found.editable == {"mine"}
    assert (found.release, found.platform) == ((3, 10), "x86_64-manylinux_2_35")
    assert read(tmp_path, platform={**GOOD["platform"], "glibc": "2.27"}).platform == "x86_64-manylinux_2_17"


@pytest.mark.parametrize(
    "changes",
    [
        {"python": "3.10.14 --index-url https://evil.example"},
        {"python": ["3.10.14"]},
        {"packages": {"a/../../b": "1"}},
        {"packages": {"a\n": "1"}},
        {"packages": ["a"]},
        {"platform": {**GOOD["platform"], "machine": "../x"}},
        {"platform": {**GOOD["platform"], "glibc": ""}},
        {"platform": {**GOOD["platform"], "implementation": "pypy"}},
        {"platform": None},
    ],
)
def test_anything_else_ends_in_a_sentence(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="the inventory of the frozen environment is not understood"):
        read(tmp_path, **changes)


def test_a_link_leads_to_no_secret(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine lab login me password word")
    (tmp_path / "link").symlink_to("netrc")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * (environment.MOST_BYTES + 1))
    for name in ("link", "pipe", "large", "none"):
        with pytest.raises(SystemExit) as caught:
            environment.strangers_text(tmp_path / name)
        assert "word" not in str(caught.value)


@pytest.mark.parametrize("line", ["-r /run/secrets/netrc", "x @ https://evil.example/x.whl", "", "--index-url=x"])
def test_what_is_asked_of_an_index_is_a_requirement(line: str) -> None:
    with pytest.raises(SystemExit, match="is not fetched"):
        environment.requirement(line)


@pytest.mark.parametrize("why", ["", "[]", "{}", '{"asked": {"six": []}, "pinned": []}', "[" * 100_000])
def test_who_asked_for_what_is_a_strangers_word_too(why: str) -> None:
    answer = {"changes": [{"action": "installed", "name": "six", "version": "1"}]}
    with pytest.raises(SystemExit, match=r"^fetch: who asked for what is not understood"):
        resolve._arrivals(answer, why)


def test_an_answer_that_changes_the_environment_ends_in_a_sentence() -> None:
    answer = {"changes": [{"action": "updated", "name": "six", "version": "1"}]}
    with pytest.raises(SystemExit, match=r"^fetch: what is installed would not stay as it is"):
        resolve._arrivals(answer, '{"asked": {}, "pinned": []}')


def test_the_stand_in_has_metadata_and_no_code(tmp_path: Path) -> None:
    site = environment.stand_in(read(tmp_path), tmp_path / "site", without=["numpy"])
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    names = {"torch-2.0.1+cu118", "mine-1.0"}
    assert files == {f"{name}.dist-info/{file}" for name in names for file in ("METADATA", "RECORD")}
    text = (site / "torch-2.0.1+cu118.dist-info/METADATA").read_text()
    assert text == "Metadata-Version: 2.1\nName: torch\nVersion: 2.0.1+cu118\nRequires-Dist: filelock\n"


def test_the_best_wheel_is_that_of_the_latest_platform_that_fits(tmp_path: Path) -> None:
    names = [
        "a-1.0-py3-none-any.whl",
        "a-1.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1.0-cp310-cp310-manylinux_2_28_x86_64.whl",
        "a-1.0-1-cp310-cp310-manylinux_2_28_x86_64.whl",
        "a-1.0-cp310-cp310-manylinux_2_36_x86_64.whl",
        "a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a-1.0-cp310-cp310-manylinux_2_28_aarch64.whl",
        "a-1.0-cp38-abi3-manylinux1_x86_64.whl",
        "a-1.0-cp310-cp310-musllinux_1_1_x86_64.whl",
    ]
    links = [pages.Link(name, f"https://e.org/{name}", None, None, "https://e.org/") for name in names]
    tags = choice.tags_of(read(tmp_path))
    order = []
    while found := choice.best(links, tags):
        order.append(names.index(found.name))
        links.remove(found)
    assert order == [3, 2, 1, 7, 0]
