"""The JSON that the scripts are given: model sets, and the whole of verify with a specification."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion import models, verify
from conversion.failures import SpecError

SET: dict[str, Any] = {
    "name": "sugar",
    "files": ["/opt/model/*/*.model"],
    "path": ["/opt/code"],
    "class": "gatunet_model.GatUNet",
    "key": "model",
    "constructor": {"in_channels": {"attribute": "in_channels"}, "dropout": {"value": 0.0}, "scale": {"value": None}},
    "stubs": ["pytorch3d"],
    "cpu_defaults": ["utils.pooling"],
    "needs": ["torch-scatter"],
    "probe": {
        "seed": 0,
        "sizes": {"vertices": {"attribute": "ico_level", "values": {"fsaverage3": 642}}, "two": 2},
        "inputs": [
            {"name": "x", "shape": ["vertices", "two"], "distribution": "normal"},
            {"name": "xyz", "shape": ["vertices", 3], "distribution": "sphere", "scale": 100.0},
        ],
    },
    "tolerance": None,
}


def test_a_whole_specification() -> None:
    (spec,) = models.parse({"sets": [SET]})
    assert spec.class_name == "gatunet_model.GatUNet"
    assert spec.constructor["dropout"] == models.Argument(value=0.0)
    assert spec.constructor["scale"] == models.Argument()
    assert spec.constructor["in_channels"] == models.Argument(attribute="in_channels")
    assert spec.probe is not None
    assert spec.probe.sizes["two"] == models.Size(fixed=2)
    assert spec.probe.inputs[1].scale == 100.0
    assert spec.tolerance is None


def test_the_least_that_a_set_needs() -> None:
    (spec,) = models.parse({"sets": [{"name": "a", "files": ["/a"], "class": "b.C"}]})
    assert (spec.key, spec.probe, spec.stubs, spec.restore) == (None, None, (), ())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"stub": []}, "sets[0].stub: unknown key; known are name, files"),
    "no dot": ({"class": "GatUNet"}, "sets[0].class: must be module.Class"),
    "files": ({"files": []}, "sets[0].files: must name at least one"),
    "list": ({"stubs": "pytorch3d"}, "sets[0].stubs: must be a list of strings"),
    "key": ({"key": 3}, "sets[0].key: must be a string or null"),
    "both": ({"constructor": {"a": {"value": 1, "attribute": "b"}}}, "constructor.a: must have either"),
    "neither": ({"constructor": {"a": {}}}, "sets[0].constructor.a: must have either"),
    "no reason": ({"tolerance": {"absolute": 1e-6}}, "sets[0].tolerance.reason: must be a string"),
    "negative": ({"tolerance": {"absolute": -1, "reason": "a"}}, "must not be negative"),
    "size": ({"probe": {"inputs": [{"name": "x", "shape": ["rows"]}]}}, "'rows' is neither a whole number nor"),
    "distribution": ({"probe": {"inputs": [{"name": "x", "shape": [1], "distribution": "z"}]}}, "'z' is not known"),
    "no inputs": ({"probe": {"inputs": []}}, "sets[0].probe.inputs: must be a list of at least one"),
    "dtype": ({"probe": {"inputs": [{"name": "x", "shape": [1], "dtype": "int3"}]}}, "'int3' is not known"),
    "values": ({"probe": {"sizes": {"n": {"attribute": "a", "values": {"b": 0}}}, "inputs": []}}, "positive whole"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_with_its_place(name: str) -> None:
    changes, expected = WRONG[name]
    with pytest.raises(SpecError) as caught:
        models.parse({"sets": [{**SET, **changes}]})
    assert expected in str(caught.value)


def test_all_mistakes_at_once() -> None:
    broken = {**SET, **{key: value for changes, _ in list(WRONG.values())[:5] for key, value in changes.items()}}
    with pytest.raises(SpecError) as caught:
        models.parse({"sets": [broken, SET, {**SET, "tolerance": 3}]})
    assert len(str(caught.value).splitlines()) == 1 + 9


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["sets", "name", "files", "class", "probe", "inputs", "sizes", "shape", "constructor", "a"]
                ),
                x,
            )
        ),
    )
)
def test_no_document_crashes_the_parser(raw: Any) -> None:
    try:
        models.parse(raw)
    except SpecError as error:
        text = str(error)
    else:
        return
    assert "specification is wrong" in text


def test_a_torch_arch_list() -> None:
    assert verify.arch_list("8.0;9.0, 12.0+PTX;") == ["8.0", "9.0", "12.0"]


def run_verify(tmp_path: Path, spec: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (tmp_path / "verify.json").write_text(json.dumps(spec))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "conversion.verify",
        "--spec",
        tmp_path / "verify.json",
        "--uv",
        "/nowhere/uv",
    ]
    command += ["--base-inventory", tmp_path / "absent.json"]
    command += ["--out", tmp_path / "report.json"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_verify_writes_a_report_even_if_every_check_crashes(tmp_path: Path) -> None:
    spec = {
        "recipe": "demo",
        "prefix": "/nowhere",
        "versions": {"torch": "2.11.0+cu130"},
        "absent": ["pytorch3d"],
        "cuda": "13.0",
        "archs": ["9.0"],
        "cards": ["9.0"],
        "extensions": ["torch-scatter"],
        "patch_roots": ["/nowhere"],
        "models": {"sets": [SET]},
    }
    done = run_verify(tmp_path, spec)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["schema"], report["recipe"], report["passed"]) == (1, "demo", False)
    assert {row["status"] for row in report["rows"]} == {"fail"}
    checks = [
        "version",
        "absent",
        "cuda",
        "library",
        "arch",
        "sass",
        "device",
        "model",
        "patch",
        "patch",
        "conflict",
        "constraint",
    ]
    assert [row["check"] for row in report["rows"]] == [*checks, "difference"]
    assert all(row["detail"] for row in report["rows"])


def test_verify_names_a_wrong_specification(tmp_path: Path) -> None:
    done = run_verify(tmp_path, {"recipe": "demo"})
    assert done.returncode == 2
    assert "it has no prefix" in done.stderr
    assert "Traceback" not in done.stderr
