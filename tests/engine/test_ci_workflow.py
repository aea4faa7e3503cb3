"""The shell steps of a generated GitHub workflow, run as the runner runs them: real pip, BuildKit and registry."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bake.reference import parse_reference
from bake.registry import Registry
from generator.ci import CiWishes, System, render_ci, settle
from generator.plan import build_graph
from generator.recipe import load_recipe
from tests.engine.small import RECIPE, TOP
from tests.workflows import STAND_INS, Step, github_steps, parse

pytestmark = pytest.mark.engine

EXPRESSION = re.compile(r"\$\{\{ (\S+) \}\}")


@dataclass
class Runner:
    """What a runner does with the steps of a job: each in bash, with what earlier steps left in the runner's files."""

    folder: Path
    workflow: str
    contexts: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    def run(self, job: str) -> subprocess.CompletedProcess[str]:
        temporary = self.folder / f"runner-{job}"
        temporary.mkdir()
        files = {f"GITHUB_{name}": temporary / name.lower() for name in ("ENV", "PATH", "OUTPUT", "STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        environment = {**os.environ, "GITHUB_ACTIONS": "true", "CI": "true", "RUNNER_TEMP": str(temporary)}
        environment |= {name: str(file) for name, file in files.items()} | self._filled(parse(self.workflow)["env"])
        done: subprocess.CompletedProcess[str] | None = None
        for step in github_steps(self.workflow):
            if step.job != job or (step.condition and not self._holds(step.condition)):
                continue
            paths = [*files["GITHUB_PATH"].read_text().split(), environment["PATH"]]
            kept = dict(line.split("=", 1) for line in files["GITHUB_ENV"].read_text().splitlines())
            done = self._bash(step, {**environment, **kept, "PATH": ":".join(paths)})
            if done.returncode:
                break
        assert done is not None
        self.outputs |= dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        self.outputs[f"summary of {job}"] = files["GITHUB_STEP_SUMMARY"].read_text()
        return done

    def _bash(self, step: Step, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        script = step.script
        for word in STAND_INS:
            script = script.replace(f" {word}", "")
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**environment, **self._filled(step.env)},
            capture_output=True,
            text=True,
            check=False,
        )

    def _filled(self, values: dict[str, str]) -> dict[str, str]:
        return {name: EXPRESSION.sub(lambda match: self.contexts[match[1]], value) for name, value in values.items()}

    def _holds(self, condition: str) -> bool:
        match = re.fullmatch(r"(\S+) != ''", condition)
        assert match, condition
        return self.contexts[match[1]] != ""


@pytest.fixture
def runner(tmp_path: Path, base: str, registry: str) -> Runner:
    (tmp_path / "small.toml").write_text(RECIPE.format(base=base))
    loaded = load_recipe(str(tmp_path / "small.toml"))
    wishes = CiWishes(system=System.GITHUB, requirement=str(TOP))
    settings = settle(wishes, recipe="small.toml", registry=f"{registry}/{tmp_path.name.replace('_', '-')}")
    bundle = os.environ.get("GENERATOR_CA_BUNDLE")
    contexts = {
        "vars.GENERATOR_CA_BUNDLE": Path(bundle).read_text() if bundle else "",
        "secrets.GENERATOR_REGISTRY_USERNAME": "",
        "secrets.GENERATOR_REGISTRY_TOKEN": "",
    }
    text = render_ci(settings, build_graph(loaded.recipe, origin=loaded.origin))
    return Runner(folder=tmp_path, workflow=text, contexts=contexts)


def test_the_jobs_of_a_workflow_build_verify_plan_and_push(runner: Runner, registry: str) -> None:
    done = runner.run("pull-request")
    assert done.returncode == 0, done.stderr
    image = f"{parse(runner.workflow)['env']['GENERATOR_REGISTRY']}/uplift-test-small:1"
    assert Registry(registry).manifest(parse_reference(image)).status == 404
    summary = runner.outputs["summary of pull-request"]
    assert f"`{image}@sha256:" in summary
    assert re.search(r"\| verification \| passed: (\d+) of \1 checks \|", summary)
    assert re.search(r"\| torch \| done \| [1-9]", summary)
    cases = ET.parse(runner.folder / "build/verify/junit.xml").findall(".//testcase")
    assert len(cases) == len(json.loads((runner.folder / "build/verify/report.json").read_text())["rows"])

    assert runner.run("plan").returncode == 0
    assert runner.outputs["matrix"] == '{"include":[]}'

    done = runner.run("push")
    assert done.returncode == 0, done.stderr
    answer = Registry(registry).manifest(parse_reference(image))
    assert f"{image}@{answer.headers['docker-content-digest']}" in done.stdout
    assert f"{image}@{answer.headers['docker-content-digest']}" in runner.outputs["summary of push"]


def test_a_failed_bake_is_an_annotation_and_a_summary(runner: Runner) -> None:
    recipe = runner.folder / "small.toml"
    recipe.write_text(recipe.read_text().replace("six==1.17.0", "six==0.0.0.1"))
    done = runner.run("pull-request")
    assert done.returncode == 1
    (annotation,) = (line for line in done.stderr.splitlines() if line.startswith("::"))
    assert annotation.startswith("::error file=build/contexts/torch/Dockerfile,line=")
    assert ",title=the build failed::" in annotation
    summary = runner.outputs["summary of pull-request"]
    assert "### image-uplift: small: failed" in summary
    assert re.search(r"\| torch \| failed \|", summary)
