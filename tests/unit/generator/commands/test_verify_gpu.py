"""The host's side of ``verify --gpu``: what it asks of an engine, and what it makes of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bake.engine.captured import Captured
from bake.engine.gpu_access import Access, access
from bake.errors import EnvironmentUnfit, VerificationFailed
from generator.commands import verify_gpu
from generator.verification.junit import as_junit
from generator.verification.report import as_json, merged, parse_report

BARE = {"Runtimes": {"runc": {}, "io.containerd.runc.v2": {}}, "CDISpecDirs": ["/nonexistent"]}


def report(status: str, subject: str = "torch: matmul") -> str:
    row = {"check": "gpu", "subject": subject, "expected": "a", "found": "b", "status": status, "detail": ""}
    return json.dumps({"schema": 1, "recipe": "demo", "passed": status != "fail", "rows": [row]})


def captured(status: int, stdout: str, stderr: str = "") -> Captured:
    return Captured(status=status, stdout=stdout, stderr=stderr)


def test_an_engine_without_gpus_is_unfit_and_the_remedy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EnvironmentUnfit) as caught:
        verify_gpu.require_access(access(BARE), BARE)
    assert caught.value.exit_status == 3
    assert "runtimes: io.containerd.runc.v2, runc" in str(caught.value)
    assert "nvidia-container-toolkit" in str(caught.value)


@pytest.mark.parametrize(
    "info",
    [
        {**BARE, "Runtimes": {"nvidia": {}, "runc": {}}},
        {**BARE, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]},
    ],
)
def test_a_runtime_or_a_cdi_device_is_enough(info: dict[str, Any]) -> None:
    verify_gpu.require_access(access(info), info)


@pytest.mark.parametrize(
    ("way", "driver", "ids", "count"),
    [(Access.RUNTIME, "", [], -1), (Access.HOOK, "", [], -1), (Access.CDI, "cdi", ["nvidia.com/gpu=all"], 0)],
)
def test_the_container_has_all_gpus_the_scripts_read_only_and_no_network(
    way: Access, driver: str, ids: list[str], count: int
) -> None:
    request = verify_gpu.container(way, python="/opt/env/bin/python", spec=Path("/b/verify.json"))
    (device,) = request["device_requests"]
    assert (device["Driver"], device["DeviceIDs"], device["Count"]) == (driver, ids, count)
    assert request["network_mode"] == "none"
    assert all(mount["ReadOnly"] for mount in request["mounts"])
    scripts, spec = (Path(mount["Source"]) for mount in request["mounts"])
    assert (scripts / "gpu" / "__main__.py").is_file()
    assert spec == Path("/b/verify.json")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', "nvidia-container-toolkit"),
        ("CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all", "nvidia-container-toolkit"),
        ("nvidia-container-cli: initialization error: nvml error: driver not loaded", "nvidia-container-toolkit"),
        ("bind source path does not exist: /x/conversion", "has to run on this machine"),
    ],
)
def test_an_engine_that_cannot_start_the_container(said: str, remedy: str) -> None:
    error = verify_gpu.not_run(said, "x:1")
    assert error.exit_status == 3
    assert said in str(error)
    assert remedy in str(error)


def test_the_report_is_the_last_line() -> None:
    assert verify_gpu.read(captured(0, f"a banner of the image\n{report('pass')}\n"), image="x:1").passed


@pytest.mark.parametrize("out", ["", "{}", "no json", '{"schema": 2}'])
def test_no_report_is_a_failed_verification_with_the_last_words(out: str) -> None:
    with pytest.raises(VerificationFailed, match=r"exit status 139\): a / b / c") as caught:
        verify_gpu.read(captured(139, out, "z\na\nb\n\nc\n"), image="x:1")
    assert caught.value.exit_status == 4


@pytest.mark.parametrize(("first", "second", "passed"), [("pass", "pass", True), ("pass", "fail", False)])
def test_merged_rows_are_in_every_form(first: str, second: str, passed: bool) -> None:
    both = merged(
        parse_report(report(first, "torch"), image="x:1"), parse_report(report(second, "/m/lh.model"), image="x:1")
    )
    assert both.passed is passed
    assert [row["subject"] for row in json.loads(as_json(both))["rows"]] == ["torch", "/m/lh.model"]
    assert "/m/lh.model" in as_junit(both)
