"""What a runner installs: an address that is pinned, or what was said; never a name that anybody can register."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest

from bake.errors import UsageError
from generator.ci import CiOptions, System, finish

COMMIT, SHA = "c" * 40, "a" * 64
GIT = {"url": "https://git.example.org/lab/uplift", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
WHEEL = {"url": "https://x.example.org/u-1-py3-none-any.whl", "archive_info": {"hashes": {"sha256": SHA}}}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(noted: dict[str, Any] | None) -> None:
        text = json.dumps(noted) if noted else None
        found = SimpleNamespace(read_text=lambda _name: text)
        monkeypatch.setattr("generator.ci.requirement.distribution", lambda _name: found)

    return use


def requirement(said: str | None = None) -> str:
    return finish(CiOptions(system=System.GITHUB, requirement=said), recipe="demo").requirement


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        (GIT, f"git+https://git.example.org/lab/uplift@{COMMIT}"),
        (WHEEL, f"https://x.example.org/u-1-py3-none-any.whl#sha256={SHA}"),
    ],
)
def test_the_address_that_it_came_from(installed: Any, noted: dict[str, Any], expected: str) -> None:
    installed(noted)
    assert requirement() == expected
    assert requirement("./uplift") == "./uplift"


@pytest.mark.parametrize(
    "noted",
    [
        None,  # by its name, from an index
        {"url": "file:///home/me/uplift", "dir_info": {"editable": True}},
        {"url": "file:///home/me/u-1-py3-none-any.whl", "archive_info": {"hashes": {"sha256": SHA}}},
        {"url": WHEEL["url"], "archive_info": {}},
        {**GIT, "subdirectory": "tools"},
        {**GIT, "url": "https://me:secret@git.example.org/lab/uplift"},
    ],
)
def test_where_that_is_no_pinned_address_it_is_asked_for(installed: Any, noted: dict[str, Any] | None) -> None:
    installed(noted)
    with pytest.raises(UsageError, match="where a runner gets this program") as caught:
        requirement()
    assert caught.value.where == "--requirement"
    assert "@COMMIT" in str(caught.value.remedy)


def test_a_checkout_that_is_not_installed_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("generator.ci.requirement.distribution", missing)
    with pytest.raises(UsageError):
        requirement()


@pytest.mark.parametrize(
    "said", ["git+https://me:word@h/r@c0ffee", "https://token@h/u.whl", "git+ssh://me:word@h/r@c0f"]
)
def test_a_login_stands_in_no_ci_file(said: str) -> None:
    with pytest.raises(UsageError, match="an address with a login"):
        requirement(said)


@pytest.mark.parametrize("said", ["git+ssh://git@h/r@c0ffee", "git+https://h/r@c0ffee", "image-uplift==1", "./u.whl"])
def test_a_requirement_without_one_does(said: str) -> None:
    assert requirement(said) == said
