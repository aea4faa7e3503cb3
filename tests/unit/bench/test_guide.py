from __future__ import annotations

from pathlib import Path

import pytest

from bake.errors import UsageError
from generator.recipe import Recipe, load_recipe
from tests.bench.guide import BuildStep, RunStep, steps
from tests.bench.scenarios import Scenario, chosen


def recipe(name: str = "demo") -> Recipe:
    return load_recipe(name).recipe


def test_the_steps_follow_each_other_on_the_same_base() -> None:
    made = steps(recipe(), "bench:1")
    builds = [step for step in made if isinstance(step, BuildStep)]
    bases = [step.dockerfile.splitlines()[0] for step in builds]
    assert bases == ["FROM deepprep-demo:25.1.0", *(f"FROM {step.tag}" for step in builds[:-1])]
    assert builds[-1].tag == "bench:1"
    assert len({step.tag for step in builds}) == len(builds)


def test_the_packages_are_those_of_the_recipe_without_a_cache_and_one_after_the_other() -> None:
    text = "\n".join(step.dockerfile for step in steps(recipe(), "bench:1") if isinstance(step, BuildStep))
    for package in (*recipe().stack.packages, *recipe().toolkit.install):  # type: ignore[union-attr]
        assert f"{package}" in text
    assert "torch-scatter==2.1.2" in text
    assert "torch-spline-conv==1.2.2" in text
    assert text.count("pip install") == text.count("pip install --no-cache-dir") == 4
    assert "FORCE_ONLY_CUDA=1" in text
    assert 'TORCH_CUDA_ARCH_LIST="9.0;12.0"' in text
    assert "MAX_JOBS" not in text
    assert "--mount=type=cache" not in text


def test_models_are_taken_out_in_the_old_image_and_made_anew_in_the_new_one() -> None:
    made = steps(recipe(), "bench:1")
    old, new = (step for step in made if isinstance(step, RunStep))
    assert old.image == "deepprep-demo:25.1.0"
    newest = made[made.index(old) - 1]
    assert isinstance(newest, BuildStep)
    assert new.image == newest.tag
    assert old.folders["/output"] == new.folders["/input"]
    last = made[-1]
    assert isinstance(last, BuildStep)
    assert last.files == (new.folders["/output"],)


def test_the_installer_is_copied_as_the_guide_does() -> None:
    text = "\n".join(step.dockerfile for step in steps(recipe("deepprep"), "b:1") if isinstance(step, BuildStep))
    assert "COPY cuda_12.8.0_570.86.10_linux.run /tmp/cuda.run" in text
    assert "torch-scatter==2.1.2+pt27cu128 -f " in text


def test_a_source_that_the_guide_does_not_know_is_refused() -> None:
    known = recipe()
    changed = known.extensions["torch-scatter"].model_copy(update={"source": "git"})
    other = known.model_copy(update={"extensions": {"torch-scatter": changed}})
    with pytest.raises(UsageError, match="source 'git'"):
        steps(other, "bench:1")


def test_cold_is_always_run_and_the_long_scenario_only_when_asked_for() -> None:
    assert chosen(["fresh-runner"]) == {Scenario.COLD, Scenario.FRESH}
    assert Scenario.TORCH not in chosen([])
    assert chosen([]) | {Scenario.TORCH} == set(Scenario)
    assert Scenario.SOURCE in chosen(["one-cu-changed"])
    with pytest.raises(UsageError, match="'warm'"):
        chosen(["warm"])


def test_the_lists_of_the_readme_are_those_of_the_program() -> None:
    text = (Path(__file__).parents[2] / "bench/README.md").read_text()
    for scenario in Scenario:
        assert f"`{scenario.option}`" in text
