from __future__ import annotations

import os
import subprocess
from pathlib import Path

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


def test_without_a_repository_there_is_no_origin(tmp_path):
    assert origin_of(tmp_path / "r.toml", {}) == Origin()
    (tmp_path / ".git").mkdir()
    assert origin_of(tmp_path / "r.toml", {}) == Origin()


def test_packed_objects_and_refs_are_read_and_a_folder_below(tmp_path, repository):
    (tmp_path / "below").mkdir()
    (tmp_path / "below/r.toml").write_text("x = 1\n" * 100)
    repository("add", "below")
    repository("commit", "--quiet", "--message", "y")
    repository("remote", "remove", "origin")
    repository("gc", "--quiet")
    repository("pack-refs", "--all")
    head = repository("rev-parse", "HEAD")
    assert origin_of(tmp_path / "below/r.toml", {}) == Origin(revision=head)
    repository("checkout", "--quiet", "--detach")
    assert origin_of(tmp_path / "lab.toml", {}) == Origin(revision=head)


def test_another_working_tree_has_its_own_revision(tmp_path, repository):
    repository("worktree", "add", "--quiet", str(tmp_path / "other"))
    (tmp_path / "other/lab.toml").write_text("x = 3\n")
    repository("-C", "other", "commit", "--quiet", "--all", "--message", "z")
    head = repository("-C", "other", "rev-parse", "HEAD")
    assert head != repository("rev-parse", "HEAD")
    known = Origin(source="https://git.example/lab/x.git", revision=head)
    assert origin_of(tmp_path / "other/lab.toml", {}) == known


def in_configuration(git: Path, text: str) -> None:
    with (git / "config").open("a") as file:
        file.write(text)


def by_fsmonitor(git: Path, command: Path) -> None:
    in_configuration(git, f"[core]\n\tfsmonitor = {command}\n")


def by_filter(git: Path, command: Path) -> None:
    in_configuration(git, f'[filter "x"]\n\tclean = {command}\n\tprocess = {command}\n')
    (git / "info").mkdir(exist_ok=True)
    (git / "info/attributes").write_text("* filter=x\n")


def by_hook(git: Path, command: Path) -> None:
    (git / "hooks").mkdir(exist_ok=True)
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (git / "hooks" / name).symlink_to(command)


def by_hooks_path(git: Path, command: Path) -> None:
    by_hook(git, command)
    (git / "hooks").rename(git / "own")
    in_configuration(git, f"[core]\n\thooksPath = {git / 'own'}\n")


def by_include(git: Path, command: Path) -> None:
    (git / "more").write_text(f"[core]\n\tfsmonitor = {command}\n")
    in_configuration(git, "[include]\n\tpath = more\n")


def by_other_commands(git: Path, command: Path) -> None:
    names = "".join(f"\t{name} = !{command}\n" for name in ("ls-files", "rev-parse", "status", "remote"))
    in_configuration(git, f"[alias]\n{names}[core]\n\tsshCommand = {command}\n\tpager = {command}\n")
    in_configuration(git, f"[credential]\n\thelper = !{command}\n[diff]\n\texternal = {command}\n")


def by_worktree(git: Path, command: Path) -> None:
    elsewhere = git.parent.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lab.toml").write_text("x = 5\n")
    in_configuration(git, f"[core]\n\tworktree = {elsewhere}\n\tfsmonitor = {command}\n")


def by_git_file(git: Path, command: Path) -> None:
    by_fsmonitor(git, command)
    by_hook(git, command)
    git.rename(git.parent.parent / "away")
    git.write_text("gitdir: ../away\n")


PLANTS = (
    by_fsmonitor, by_filter, by_hook, by_hooks_path, by_include, by_other_commands, by_worktree, by_git_file,
)  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS)
def test_no_command_of_a_repository_runs_and_its_labels_are_right(tmp_path, repository, plant):
    recipe, ran = tmp_path / "place/lab.toml", tmp_path / "ran"
    recipe.parent.mkdir()
    for name in (".git", "lab.toml"):
        (tmp_path / name).rename(recipe.with_name(name))
    head = repository("-C", "place", "rev-parse", "HEAD")
    command = tmp_path / "planted"
    command.write_text(f"#!/bin/sh\ntouch {ran}\nexec cat\n")
    command.chmod(0o755)
    plant(recipe.parent / ".git", command)
    os.utime(recipe, (1, 1))  # git looks into a file of another time
    assert origin_of(recipe, {}) == Origin(source="https://git.example/lab/x.git", revision=head)
    recipe.write_text("x = 2\n")
    assert origin_of(recipe, {}).revision == f"{head}-dirty"
    assert not ran.exists()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("other", [".", ".git"])
def test_a_repository_of_another_user_is_not_read(tmp_path, monkeypatch, other):
    real = Path.stat

    def stat(path, **options):
        found = real(path, **options)
        if path == tmp_path / other:
            return os.stat_result((*found[:4], os.geteuid() + 1, *found[5:]))
        return found

    monkeypatch.setattr(Path, "stat", stat)
    assert origin_of(tmp_path / "lab.toml", {}) == Origin()
