"""GPU access and drivers, from what engines and drivers print."""

from __future__ import annotations

import pytest

from bake.doctor import Severity, Subject, run_checks
from bake.doctor.finding import Engine
from bake.engine.container import ContainerRequest, devices
from bake.engine.gpu_access import Access, access, oldest_driver


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"Runtimes": {"runc": {}, "nvidia": {"path": "nvidia-container-runtime"}}}, Access.RUNTIME),
        ({"Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}, Access.CDI),
        ({"Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "amd.com/gpu=0"}]}, Access.NONE),
        ({"Runtimes": None, "DiscoveredDevices": None, "CDISpecDirs": ["/nonexistent"]}, Access.NONE),
    ],
)
def test_access(info, expected, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert access(info) is expected


def test_access_by_a_specification(tmp_path):
    (tmp_path / "nvidia.yaml").write_text("cdiVersion: 0.6.0\nkind: nvidia.com/gpu\n")
    assert access({"CDISpecDirs": [str(tmp_path)]}) is Access.CDI
    assert access({"CDISpecDirs": [str(tmp_path)]}, local=False) is Access.NONE


def test_access_by_the_hook(tmp_path, monkeypatch):
    hook = tmp_path / "nvidia-container-runtime-hook"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert access({}) is Access.HOOK


def driver_says(monkeypatch, folder, driver, status=0):
    """Put a nvidia-smi on PATH that answers as the real one does for one card."""
    tool = folder / "nvidia-smi"
    answers = f'*name*) echo "NVIDIA GeForce RTX 5090, 12.0" ;; *driver*) echo "{driver}" ;;'
    tool.write_text(f'#!/bin/sh\ncase "$*" in {answers} esac\nexit {status}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_what_doctor_says_without_a_driver(monkeypatch, tmp_path):
    driver_says(monkeypatch, tmp_path, "", status=9)
    (finding,) = run_checks(Subject(cuda="12.8"), only=frozenset({"driver"}))
    assert finding.severity is Severity.WARNING
    assert "nvidia-smi cannot reach the driver" in finding.message
    monkeypatch.setenv("PATH", "/nonexistent")
    (finding,) = run_checks(Subject(cuda="12.8"), only=frozenset({"driver"}))
    assert "there is no nvidia-smi on PATH" in finding.message


@pytest.mark.parametrize(
    ("cuda", "capability", "expected"),
    [("12.8", "9.0", (525, 60, 13)), ("12.8", "12.0", (570, 0)), ("13.0", "12.0", (580, 65, 6)), ("99.0", "9.0", ())],
)
def test_oldest_driver(cuda, capability, expected):
    assert oldest_driver(cuda, capability) == expected


@pytest.mark.parametrize(
    ("driver", "cuda", "severity"),
    [("575.57.08", "12.8", "ok"), ("550.10", "12.8", "warning"), ("575.57.08", "13.0", "warning")],
)
def test_what_doctor_says_of_a_driver(monkeypatch, tmp_path, driver, cuda, severity):
    driver_says(monkeypatch, tmp_path, driver)
    (finding,) = run_checks(Subject(cuda=cuda), only=frozenset({"driver"}))
    assert finding.severity is Severity(severity)
    assert bool(finding.remediation) == (severity != "ok")


@pytest.mark.parametrize(("runtimes", "severity"), [({"nvidia": {}}, "ok"), ({}, "warning")])
def test_what_doctor_says_of_the_engine(monkeypatch, runtimes, severity):
    client = type("Client", (), {"info": lambda _: {"Runtimes": runtimes}})()
    monkeypatch.setattr(Engine, "client", client)
    monkeypatch.setenv("PATH", "/nonexistent")
    (finding,) = run_checks(Subject(cuda="12.8"), only=frozenset({"container toolkit"}))
    assert finding.severity is Severity(severity)


def test_how_a_container_asks_for_gpus():
    assert devices(Access.NONE) == []
    (cdi,) = devices(Access.CDI)
    assert (cdi["Driver"], cdi["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])
    (runtime,) = devices(Access.RUNTIME)
    assert (runtime["Count"], runtime["Capabilities"]) == (-1, [["gpu"]])
    assert "--gpus all" in " ".join(ContainerRequest(image="x", arguments=(), gpu=Access.RUNTIME).as_command())
    assert "nvidia.com/gpu=all" in ContainerRequest(image="x", arguments=(), gpu=Access.CDI).as_command()
