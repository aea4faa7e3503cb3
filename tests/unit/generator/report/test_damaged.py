"""Files of a build folder that are damaged, or of another form than ours: one sentence, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bake.errors import UsageError
from generator.commands.explain import explain
from generator.commands.report import _text, gather
from generator.console.reporter import Reporter
from generator.plan import build_graph
from generator.recipe import load_recipe
from generator.resolve.facts import Facts
from tests.unit.generator.report.conftest import RECORDS


def record() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((RECORDS / "demo.json").read_text(encoding="utf-8"))
    return read


def damaged(key: str, value: Any) -> str:
    document = record()
    document[key] = value
    return json.dumps(document)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema": 1}', "it lacks recipe, state, started, completed, requested, targets"),
        ("[" * 100_000, "can't be read"),
        (damaged("started", "yesterday"), "started: "),
        (damaged("started", None), "started: "),
        (damaged("completed", "2026-01-01T00:00:00"), "completed: value error, a time without its zone"),
        (damaged("targets", {"image": {"state": None}}), "targets.image.state: "),
        (damaged("targets", {"image": {"state": "done", "steps": [{"name": "x"}]}}), "targets.image.steps.0.kind: "),
        (damaged("targets", ["image"]), "targets: "),
        (damaged("wheels", {"wheel-x": {"compiler_cache": {"hits": "many"}}}), "wheels.wheel-x.compiler_cache.hits: "),
        (damaged("cache", {"image": {"ran": -1, "cached": 0}}), "cache.image.ran: "),
        (damaged("published", "yes"), "published: "),
    ],
)
def test_a_damaged_record_is_told_by_file_and_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UsageError) as failure:
        gather(tmp_path)
    assert failure.value.where == str(tmp_path / "results.json")
    assert said in failure.value.message
    assert "\n" not in failure.value.message
    assert failure.value.remedy == "bake first: python -m generator bake"


def test_a_value_of_a_damaged_record_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(damaged("recipe", ["hunter2"]))
    with pytest.raises(UsageError) as failure:
        gather(tmp_path)
    assert "hunter2" not in str(failure.value)


def test_why_says_so_too(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"schema": 1, "keys": {"image": ["base"]}}')
    facts = Facts(tag="demo:1", registry="", base="base:1", archs="12.0", ca_bundle=None, folder=tmp_path)
    with pytest.raises(UsageError, match=r"the record is damaged: keys\.image: "):
        explain(Reporter(), build_graph(load_recipe("demo").recipe), facts, folder=tmp_path, target="image")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "its lists are nested too deeply"),
        ("{", "Expecting"),
        ('{"schema": 1, "dead": {"files": 4}}', "dead.bytes: field required"),
        ('{"schema": 1, "packages": ["torch"]}', "packages.0: "),
        ('{"schema": 1, "duplicates": [{"bytes": 1}]}', "duplicates.0.paths: field required"),
        ('{"schema": 1, "kinds": {"headers": {"files": "3", "bytes": 1}}}', "kinds.headers.files: "),
        ('{"schema": 2}', "another version"),
    ],
)
def test_damaged_contents_are_a_sentence_in_every_form(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "results.json").write_text(json.dumps(record()))
    (tmp_path / "verify").mkdir()
    file = tmp_path / "verify/bytes.json"
    file.write_text(text)
    report = gather(tmp_path)
    assert str(file) in report.contents["error"]
    assert said in report.contents["error"]
    for form in ("text", "json", "html"):
        assert "`verify` writes it anew" in " ".join(_text(report, form).split())
