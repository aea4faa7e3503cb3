from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from generator.cli.app import app
from generator.cli.options import SIGN_KEY, SIGN_PASSWORD, TOKEN
from tests.workflows import CREDENTIALS, RECORDED, SOURCE, commands_of, parse, recorded, steps_of

TOP = Path(__file__).parents[4]
SIGNING = {SIGN_KEY, SIGN_PASSWORD}
OWN = {path.name: path for path in sorted((TOP / ".github/workflows").iterdir())}
GITHUB = [name for name in RECORDED if "github" in name]
GITLAB = [name for name in RECORDED if "gitlab" in name]
GROUP: typer.core.TyperGroup = typer.main.get_command(app)  # type: ignore[assignment]  # several commands: a group


def text_of(name: str) -> str:
    return OWN[name].read_text(encoding="utf-8") if name in OWN else recorded(name)


def words_of(name: str) -> list[list[str]]:
    return commands_of(recorded(name))


def known_variables() -> set[str]:
    given = [p.envvar for command in (GROUP, *GROUP.commands.values()) for p in command.params]
    return {name for value in given for name in ([value] if isinstance(value, str) else value or ())}


@pytest.mark.parametrize("name", [*RECORDED, *OWN])
def test_fits_the_schema_of_its_system(name: str, tmp_path: Path) -> None:
    file = tmp_path / "ci.yml"
    file.write_text(text_of(name), encoding="utf-8")
    schema = "vendor.gitlab-ci" if name in GITLAB else "vendor.github-workflows"
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", RECORDED)
def test_every_command_line_parses(name: str) -> None:
    lines = words_of(name)
    assert {line[2] for line in lines} >= {"bake", "warm"}
    for line in lines:
        context = GROUP.make_context("generator", list(line))
        chosen, command, rest = GROUP.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(chosen, rest, parent=context)  # raises for an option that it doesn't know


@pytest.mark.parametrize("name", RECORDED)
def test_every_variable_is_one_that_the_program_reads(name: str) -> None:
    named = set(re.findall(r"GENERATOR_[A-Z_]+", recorded(name)))
    assert named <= known_variables() | {TOKEN, SIGN_PASSWORD}


@pytest.mark.parametrize("name", [*RECORDED, *OWN])
def test_shell_blocks_pass_shellcheck(name: str) -> None:
    shell = "sh" if name in GITLAB else "bash"
    steps = steps_of(text_of(name))
    assert steps
    for step in steps:
        done = subprocess.run(
            [Path(sys.executable).with_name("shellcheck"), f"--shell={shell}", "-"],
            input=step.script,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{step.job}: {step.name}:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", [*GITHUB, *OWN])
def test_no_expression_stands_in_a_shell_block(name: str) -> None:
    # What an expression gives would be read as shell.
    steps = steps_of(text_of(name))
    assert all("${{" not in step.script for step in steps)


@pytest.mark.parametrize("name", [*GITHUB, *OWN])
def test_actions_are_pinned_to_commits_and_permissions_are_the_least(name: str) -> None:
    text = text_of(name)
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in uses)
    parsed = parse(text)
    assert parsed["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in parsed["jobs"].values())
    checkouts = [step for job in parsed["jobs"].values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", GITHUB)
def test_only_steps_that_use_the_registry_see_its_credentials(name: str) -> None:
    text = recorded(name)
    parsed = parse(text)
    assert not any("secrets." in str(value) for value in parsed["env"].values())
    seeing = {step.job: step.script for step in steps_of(text) if set(step.env) & CREDENTIALS}
    assert set(seeing) == {"pull-request", "compile", "push", "warm"}
    assert all("python -m generator" in script for script in seeing.values())
    # What signs goes to those jobs that push, and to no other.
    signing = {step.job for step in steps_of(text) if set(step.env) & SIGNING}
    assert signing == {"compile", "push", "warm"}
    assert text.count("secrets.") == len(CREDENTIALS) * len(seeing) + len(SIGNING) * len(signing)


@pytest.mark.parametrize("name", GITHUB)
def test_a_pull_request_reads_with_a_login_of_its_own_and_writes_nothing(name: str) -> None:
    text = recorded(name)
    jobs = parse(text)["jobs"]
    for step in steps_of(text):
        if set(step.env) & CREDENTIALS:
            reads = step.job == "pull-request"
            assert ("GENERATOR_CACHES_READONLY" in step.env) is reads
            assert all(("secrets.REGISTRY_READER_" in step.env[one]) is reads for one in CREDENTIALS)
            # Secrets of an environment can be kept from branches other than the main one.
            assert ("environment" in jobs[step.job]) is not reads


@pytest.mark.parametrize("name", GITLAB)
def test_a_merge_request_reads_with_a_login_of_its_own_and_writes_nothing(name: str) -> None:
    parsed = parse(recorded(name))
    jobs = {job: content for job, content in parsed.items() if "script" in content}
    reading = {job for job, content in jobs.items() if "GENERATOR_CACHES_READONLY" in content.get("variables", {})}
    assert reading == {"merge-request"}
    if "GENERATOR_REGISTRY_TOKEN" not in parsed["variables"]:  # else it is the job's own
        own = parsed["merge-request"]["variables"]
        assert all(own[one].startswith("$REGISTRY_READER_") for one in CREDENTIALS)


def test_only_the_main_branch_is_pushed() -> None:
    for name in RECORDED:
        pushing = [step.job for step in steps_of(recorded(name)) if "--push" in step.script]
        assert pushing == ["push"]
    jobs = parse(recorded("demo-github-hosted.yml"))["jobs"]
    assert "github.ref == 'refs/heads/trunk'" in jobs["plan"]["if"]
    assert jobs["push"]["needs"] == ["plan", "compile"]
    assert "needs.plan.result == 'success'" in jobs["push"]["if"]
    assert "head.repo.full_name == github.repository" in jobs["pull-request"]["if"]


def test_the_gitlab_matrix_is_that_of_the_plan() -> None:
    jobs = parse(recorded("deepprep-gitlab.yml"))
    assert jobs["compile"]["parallel"]["matrix"] == [
        {"TARGETS": "wheel-pytorch3d"},
        {"TARGETS": "wheel-torch-scatter wheel-torch-sparse wheel-torch-cluster wheel-torch-spline-conv"},
    ]
    assert "tags" not in jobs[".uplift"]
    assert parse(recorded("deepprep-gitlab-tags.yml"))[".uplift"]["tags"] == ["lab", "docker"]


def test_a_recipe_that_compiles_nothing_has_no_compile_job_in_gitlab(minimal: str, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(minimal)
    command = [sys.executable, "-m", "generator", "-r", "small.toml"]
    environment = {
        "PYTHONPATH": str(TOP),
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "GENERATOR_CI_REQUIREMENT": SOURCE,
    }

    def said(*more: str) -> str:
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert "compile" not in parse(said("ci", "--for", "gitlab"))
    # GitHub asks the plan each time; a matrix without entries would be an error there.
    empty = said("plan", "--format", "matrix").strip()
    assert parse(said("ci", "--for", "github"))["jobs"]["compile"]["if"] == f"needs.plan.outputs.matrix != '{empty}'"
