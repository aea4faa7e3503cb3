"""CI files as tests read them: their shell blocks, and the command lines of ours in these."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from generator.ci import CiOptions, System, finish, render_ci
from generator.plan import build_graph
from generator.recipe import load_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = f"git+https://git.example.org/lab/image-uplift@{'c' * 40}"
CREDENTIALS = {"GENERATOR_REGISTRY_USERNAME", "GENERATOR_REGISTRY_TOKEN"}
# Recorded in tests/golden, the first of each system whole, by name of the file.
RECORDED = {
    "demo-github.yml": CiOptions(system=System.GITHUB, requirement=SOURCE),
    "demo-github-hosted.yml": CiOptions(system=System.GITHUB, runner="ubuntu-24.04", main="trunk", requirement=SOURCE),
    "deepprep-gitlab.yml": CiOptions(system=System.GITLAB, requirement=SOURCE),
    "deepprep-gitlab-tags.yml": CiOptions(system=System.GITLAB, runner="lab,docker", requirement="."),
}
_COMMAND = re.compile(r"python -m generator ([^\n)]*)")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A shell block: the job that it belongs to, its text and its own variables."""

    job: str
    name: str
    script: str
    env: dict[str, str]
    condition: str = ""


def recorded(name: str) -> str:
    """Render a file of tests/golden/ci; a file of one system names its registry, the other does not."""
    options = RECORDED[name]
    recipe = re.split(r"-git(?:hub|lab)", name)[0]
    registry = "" if name in ("demo-github.yml", "deepprep-gitlab.yml") else "registry.example.org/lab"
    loaded = load_recipe(recipe)
    graph = build_graph(loaded.recipe, origin=loaded.origin)
    return render_ci(finish(options, recipe=recipe, registry=registry), graph)


def parse(text: str) -> Any:
    """Read YAML 1.2, as both systems do."""
    return YAML(typ="safe").load(text)


def github_steps(text: str) -> Iterator[Step]:
    """List the shell blocks of a workflow."""
    for job, content in parse(text)["jobs"].items():
        for step in content["steps"]:
            if "run" in step:
                yield Step(
                    job=job,
                    name=step["name"],
                    script=step["run"],
                    env=dict(step.get("env", {})),
                    condition=step.get("if", ""),
                )


def gitlab_steps(text: str) -> Iterator[Step]:
    """List the shell blocks of a GitLab file, one for each job: what is shared comes before its own."""
    parsed = parse(text)
    for job, content in parsed.items():
        if isinstance(content, dict) and "script" in content:
            before = parsed[content["extends"]]["before_script"]
            yield Step(job=job, name=job, script="\n".join([*before, *content["script"]]), env={})


def steps_of(text: str) -> list[Step]:
    """List the shell blocks of either kind of file."""
    return list(github_steps(text) if "jobs" in parse(text) else gitlab_steps(text))


def commands_of(text: str) -> list[list[str]]:
    """Give the words of each command line of ours, with two targets in the place of ``$TARGETS``."""
    return [
        shlex.split(match[1].replace("$TARGETS", "wheel-a wheel-b"))
        for step in steps_of(text)
        for match in _COMMAND.finditer(step.script)
    ]
