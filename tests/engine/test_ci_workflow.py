"""The shell steps of a generated GitHub workflow, run as the runner runs them: real pip, BuildKit and registry.

Proves the thing for what the steps do; the runner around them is imitated, so that GitHub takes the file is
packaging.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bake.reference import parse_reference
from bake.registry import Registry
from generator.ci import CiOptions, System, finish, render_ci
from generator.plan import build_graph
from generator.recipe import load_recipe
from tests.engine.small import RECIPE, TOP, docker
from tests.workflows import Step, github_steps, parse

pytestmark = [pytest.mark.engine, pytest.mark.long]

PEM = "-----BEGIN CERTIFICATE-----\nMIIB%s\n-----END CERTIFICATE-----"  # a printf format must not be read in it
SIX = "six==1.16.0"
INSTALL = "Install image-uplift"
EXPRESSION = re.compile(r"\$\{\{ (\S+) \}\}")


@dataclass
class Runner:
    """What a runner does with the steps of a job: each in bash, with what earlier steps left in the runner's files."""

    folder: Path
    workflow: str
    contexts: dict[str, str]
    installed: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def run(self, job: str) -> subprocess.CompletedProcess[str]:
        temporary = self.folder / f"runner-{job}"
        temporary.mkdir()
        files = {f"GITHUB_{name}": temporary / name.lower() for name in ("ENV", "PATH", "OUTPUT", "STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment = {**inherited, "GITHUB_ACTIONS": "true", "CI": "true", "RUNNER_TEMP": str(temporary)}
        environment |= {name: str(file) for name, file in files.items()} | self._filled(parse(self.workflow)["env"])
        done: subprocess.CompletedProcess[str] | None = None
        files["GITHUB_PATH"].write_text(f"{self.installed}\n")
        for step in github_steps(self.workflow):
            if step.job != job or step.name == INSTALL or (step.condition and not self._holds(step.condition)):
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
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.script],
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


def workflow_of(recipe: Path, registry: str) -> str:
    loaded = load_recipe(str(recipe))
    settings = finish(CiOptions(system=System.GITHUB, requirement=str(TOP)), recipe=recipe.name, registry=registry)
    return render_ci(settings, build_graph(loaded.recipe, origin=loaded.origin))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the step that installs, once for all jobs; gives the folder that it put on PATH."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "small.toml").write_text(RECIPE.format(base="uplift-test-absent:1"))
    (step,) = {step.script for step in github_steps(workflow_of(folder / "small.toml", "")) if step.name == INSTALL}
    environment = {**os.environ, "RUNNER_TEMP": str(folder), "GITHUB_PATH": str(folder / "path")}
    subprocess.run(["bash", "-eo", "pipefail", "-c", step], env={**environment, "IMAGE_UPLIFT": str(TOP)}, check=True)
    return Path((folder / "path").read_text().strip())


@pytest.fixture
def runner(tmp_path: Path, base: str, registry: str, installed: Path) -> Iterator[Runner]:
    # Steps of its own: other tests look at what their first bake runs.
    (tmp_path / "small.toml").write_text(RECIPE.format(base=base).replace("six==1.17.0", SIX))
    # A bundle of this machine's own is in the environment, as it may be on a runner, and too large for a variable.
    contexts = {
        "vars.GENERATOR_CA_BUNDLE": "",
        "secrets.GENERATOR_REGISTRY_USERNAME": "",
        "secrets.GENERATOR_REGISTRY_TOKEN": "",
        "secrets.REGISTRY_READER_USERNAME": "",
        "secrets.REGISTRY_READER_TOKEN": "",
        "secrets.GENERATOR_SIGN_KEY": "",
        "secrets.GENERATOR_SIGN_PASSWORD": "",
    }
    place = f"{registry}/{tmp_path.name.replace('_', '-')}"
    text = workflow_of(tmp_path / "small.toml", place)
    yield Runner(folder=tmp_path, workflow=text, contexts=contexts, installed=installed)
    docker("image", "rm", "--force", f"{place}/uplift-test-small:1", check=False)


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

    runner.contexts["vars.GENERATOR_CA_BUNDLE"] = PEM
    assert runner.run("plan").returncode == 0
    written = [str(runner.installed / "python"), "-m", "generator", "-r", "small.toml", "ci", "--for", "gitlab"]
    written += ["--requirement", str(TOP)]  # a folder of this machine is no default
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(written, cwd=runner.folder, env=outside, capture_output=True, text=True, check=True).stdout
    assert parse(said)["push"]["script"] == ["python -m generator -r small.toml bake --push --require-warm"]
    assert runner.outputs["matrix"] == '{"include":[]}'
    runner.contexts["vars.GENERATOR_CA_BUNDLE"] = ""
    environment = (runner.folder / "runner-plan/env").read_text()
    assert environment == f"GENERATOR_CA_BUNDLE={runner.folder}/runner-plan/ca.pem\n"
    assert (runner.folder / "runner-plan/ca.pem").read_text().endswith(f"{PEM}\n")

    done = runner.run("push")
    assert done.returncode == 0, done.stderr
    answer = Registry(registry).manifest(parse_reference(image))
    assert f"{image}@{answer.headers['docker-content-digest']}" in done.stdout
    assert f"{image}@{answer.headers['docker-content-digest']}" in runner.outputs["summary of push"]


def test_a_failed_bake_is_an_annotation_and_a_summary(runner: Runner) -> None:
    recipe = runner.folder / "small.toml"
    recipe.write_text(recipe.read_text().replace(SIX, "six==0.0.0.1"))
    done = runner.run("pull-request")
    assert done.returncode == 1
    (annotation,) = (line for line in done.stderr.splitlines() if line.startswith("::"))
    assert annotation.startswith("::error file=build/contexts/fetch-stack/Dockerfile,line=")
    assert ",title=the build failed::" in annotation
    summary = runner.outputs["summary of pull-request"]
    assert "### image-uplift: small: failed" in summary
    assert re.search(r"\| fetch-stack \| failed \|", summary)
