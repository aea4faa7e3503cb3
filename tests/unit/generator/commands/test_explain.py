"""Why a target would be made again: its inputs of today against those that the last bake recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from generator.commands import explain
from generator.console.reporter import Reporter
from generator.job import Inherited, Preflight
from generator.plan import build_graph
from generator.plan.keys import keys_of
from generator.recipe import Recipe
from generator.recipe.groups import FETCHER_IMAGE
from generator.render import render
from generator.resolve.facts import Facts

DIGEST = f"sha256:{'1' * 64}"


@pytest.fixture
def facts(tmp_path: Path, demo: Recipe, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """Those of a bake whose record is in the folder, of a base that ends as another user than root."""
    monkeypatch.setattr(explain, "_digest", lambda _image: "")  # no engine
    found = Facts(
        tag="demo:1", registry="", base="base:1", archs="12.0", ca_bundle=None, folder=tmp_path, platform="linux/amd64"
    )
    preflight = Preflight(
        fetcher=f"{FETCHER_IMAGE}@{DIGEST}",
        base=f"base:1@{DIGEST}",
        platform="linux/amd64",
        inherited=Inherited(known=True, user="app", requires=True),
    )
    graph = build_graph(demo)
    keys = keys_of(
        graph,
        render(graph),
        variables={**found.variables(), **preflight.variables()},
        base=DIGEST,
        platform="linux/amd64",
    )
    recorded = {name: dict(key.inputs) for name, key in keys.items()}
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "keys": recorded}))
    return found


def test_the_same_inputs_are_told_as_such(facts: Facts, demo: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    explain.explain(Reporter(), build_graph(demo), facts, folder=facts.folder, target="verify")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("verify: no input changed since the last bake; key ")


def test_a_change_is_told_back_to_its_cause(facts: Facts, demo: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    now = replace(facts, archs="9.0")
    explain.explain(Reporter(), build_graph(demo), now, folder=facts.folder, target="image")
    assert "    TORCH_CUDA_ARCH_LIST: 12.0 -> 9.0\n" in capsys.readouterr().out
