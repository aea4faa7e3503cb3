from __future__ import annotations

import subprocess

import pytest

from generator.resolve.origin import Origin, origin_of, public


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:canary@git.example/lab/x.git", "https://git.example/lab/x.git"),
        ("https://canary@git.example:8443/lab/x?private_token=canary#canary", "https://git.example:8443/lab/x"),
        ("git@git.example:lab/x.git", "ssh://git.example/lab/x.git"),
        ("ssh://git@git.example:2222/lab/x.git", "ssh://git.example:2222/lab/x.git"),
        ("/srv/git/x.git", ""),
        ("file:///srv/git/x.git", ""),
        ("", ""),
    ],
)
def test_an_address_loses_users_and_paths_of_this_machine(address, shown):
    assert public(address) == shown


def test_ci_says_what_it_builds(tmp_path):
    github = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "lab/x", "GITHUB_SHA": "a" * 40}
    assert origin_of(tmp_path / "r.toml", github) == Origin(source="https://git.example/lab/x", revision="a" * 40)
    gitlab = {"CI_PROJECT_URL": "https://me:t@git.example/lab/x", "CI_COMMIT_SHA": "b" * 40}
    assert origin_of(tmp_path / "r.toml", gitlab) == Origin(source="https://git.example/lab/x", revision="b" * 40)


@pytest.fixture
def repository(tmp_path):
    def git(*words):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("remote", "add", "origin", "https://me:canary@git.example/lab/x.git")
    (tmp_path / "lab.toml").write_text("x = 1\n")
    git("add", "lab.toml")
    git("commit", "--quiet", "--message", "x")
    return git


def test_git_keeps_the_recipe(tmp_path, repository):
    head = repository("rev-parse", "HEAD")
    assert origin_of(tmp_path / "lab.toml", {}) == Origin(source="https://git.example/lab/x.git", revision=head)
    (tmp_path / "lab.toml").write_text("x = 2\n")
    assert origin_of(tmp_path / "lab.toml", {}).revision == f"{head}-dirty"


@pytest.mark.usefixtures("repository")
def test_a_recipe_that_git_does_not_keep_has_no_origin(tmp_path):
    (tmp_path / "other.toml").write_text("")
    assert origin_of(tmp_path / "other.toml", {}) == Origin()


def test_without_a_repository_there_is_no_origin(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert origin_of(tmp_path / "r.toml", {}) == Origin()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin_of(tmp_path / "r.toml", {}) == Origin()
