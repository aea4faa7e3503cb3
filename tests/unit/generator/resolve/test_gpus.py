from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from bake.errors import UsageError
from generator.resolve.gpus import capabilities, chosen_archs, find_gpu, table

# What people type, and what drivers report (nvidia-smi --query-gpu=name).
NAMES = {
    "12.1": ["GB10", "NVIDIA GB10", "DGX Spark", "dgx-spark"],
    "12.0": [
        "rtx5090",
        "RTX 5090",
        "rtx-5090",
        "5090",
        "NVIDIA GeForce RTX 5090",
        "NVIDIA GeForce RTX 5090 Laptop GPU",
        "rtx5080",
        "5070 ti",
        "RTX5070Ti",
        "rtx 5070",
        "rtx5060",
        "rtx50",
        "rtx50 series",
        "RTX 50xx",
        "RTX PRO 6000",
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "RTX PRO 5000 Blackwell",
        "rtx pro 4500",
        "rtx pro 4000 blackwell sff edition",
    ],
    "11.0": ["Jetson Thor", "NVIDIA Jetson AGX Thor Developer Kit", "NVIDIA Thor"],
    "10.3": ["B300", "GB300", "NVIDIA B300 SXM6 AC", "GB300 NVL72"],
    "10.0": ["B100", "B200", "GB200", "NVIDIA B200", "DGX B200"],
    "9.0": ["H100", "NVIDIA H100 80GB HBM3", "H100 PCIe", "H100 NVL", "H200", "GH200", "NVIDIA GH200 144G HBM3e"],
    "8.9": [
        "L4",
        "L40",
        "L40S",
        "RTX 6000 Ada",
        "NVIDIA RTX 6000 Ada Generation",
        "rtx4090",
        "RTX 4080 SUPER",
        "rtx40",
    ],
    "8.7": ["Jetson AGX Orin", "Jetson Orin Nano"],
    "8.6": ["A40", "A10", "A10G", "A2", "A16", "RTX A6000", "a6000", "rtx3090", "RTX 3060 Laptop", "rtx 30 series"],
    "8.0": ["A100", "NVIDIA A100-SXM4-80GB", "A100-PCIE-40GB", "A30"],
    "7.5": ["T4", "Tesla T4", "rtx 2080 ti", "TITAN RTX", "Quadro RTX 6000", "GTX 1650"],
    "7.0": ["V100", "Tesla V100-SXM2-32GB", "TITAN V"],
    "6.1": ["GTX 1080 Ti", "GeForce GTX 1060 6GB", "TITAN Xp"],
}


@pytest.mark.parametrize(("capability", "name"), [(key, name) for key, names in NAMES.items() for name in names])
def test_finds_a_gpu_however_it_is_written(capability: str, name: str) -> None:
    assert find_gpu(name).capability == capability


def test_every_line_of_the_table_is_found_under_its_own_name_and_none_hides_another() -> None:
    data = tomli.loads((Path(__file__).parents[4] / "generator/resolve/gpus.toml").read_text())
    listed = [(name, capability) for capability, names in data["names"].items() for name in names]
    assert len(table().gpus) == len(listed)
    assert [find_gpu(name).capability for name, _ in listed] == [capability for _, capability in listed]
    assert all(source.startswith("https://developer.nvidia.com/") for source in data["sources"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rtx 5095", "did you mean RTX 5090"),
        ("h1000", "did you mean H100"),
        ("gtx 1085 ti", "GTX 1080 Ti"),
        ("sm_120", "given with --arch"),
        ("12.0", "given with --arch"),
        ("radeon 7900", "https://developer.nvidia.com/cuda-gpus"),
        ("10", "--arch"),
    ],
)
def test_an_unknown_name_gets_a_hint(name: str, shown: str) -> None:
    with pytest.raises(UsageError, match="no GPU is known as") as caught:
        find_gpu(name)
    assert shown in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rtx 6000", ["Quadro RTX 6000 (7.5)", "RTX 6000 Ada (8.9)", "RTX PRO 6000 Blackwell (12.0)"]),
        ("blackwell", ["B200 (10.0)", "RTX 50 series (12.0)"]),
        ("titan x", ["GTX TITAN X (5.2)", "TITAN X Pascal (6.1)"]),
    ],
)
def test_a_name_of_different_gpus_is_refused_with_the_choice(name: str, shown: list[str]) -> None:
    with pytest.raises(UsageError, match="different compute capabilities") as caught:
        find_gpu(name)
    assert all(entry in str(caught.value) for entry in shown)


def test_lists_and_repeats_are_taken_together() -> None:
    assert capabilities(("rtx5090, h100", "A100;rtx5080")) == ("12.0", "9.0", "8.0")
    assert chosen_archs(None, ["h100", "rtx5090"]) == "9.0;12.0"
    assert chosen_archs("8.0", None) == "8.0"
    assert chosen_archs(None, []) is None


def test_arch_and_gpu_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="both say"):
        chosen_archs("12.0", ["rtx5090"])


@pytest.mark.parametrize("name", ["", " , "])
def test_no_name_at_all(name: str) -> None:
    with pytest.raises(UsageError, match="no GPU is named"):
        capabilities((name,))


def generator(*command: str, folder: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PATH": path} if path is not None else {})}
    command = (sys.executable, "-m", "generator", *command)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_capability_reaches_the_bake_file(tmp_path: Path) -> None:
    done = generator("-r", "demo", "render", "--gpu", "rtx5090", "--gpu", "A100", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"12.0;8.0"' in (tmp_path / "build/docker-bake.hcl").read_text()


def test_a_gpu_that_no_stack_can_compile_for_is_refused(tmp_path: Path) -> None:
    done = generator("-r", "demo", "plan", "--gpu", "gtx 750", "--gpu", "B300", folder=tmp_path)
    assert done.returncode == 2
    assert "CUDA 13.0 can't compile for 5.0 (sm_50): CUDA 12.9 was the last that can" in done.stderr
    assert "no shipped recipe can" in done.stderr


def test_a_gpu_that_the_stack_cannot_compile_for_is_refused_with_the_one_that_can(
    tmp_path: Path, write_recipe, minimal: str
) -> None:
    recipe = write_recipe(minimal.replace('cuda = "13.0"', 'cuda = "11.8"').replace('["12.0"]', '["8.0"]'))
    done = generator("-r", str(recipe), "plan", "--gpu", "rtx5090", folder=tmp_path)
    assert done.returncode == 2
    assert "CUDA 11.8 can't compile for 12.0 (sm_120): CUDA 12.8 was the first that can" in done.stderr
    assert "demo (CUDA 13.0)" in done.stderr


SMI = """#!/bin/sh
case "$*" in
{cases}
esac
"""
ANSWERS = {
    "a driver of today": (
        "*name,compute_cap*) echo 'NVIDIA GeForce RTX 5090, 12.0'; echo 'NVIDIA H200, 9.0' ;;",
        "12.0;9.0",
    ),
    "one that knows no compute_cap": (
        (
            "*compute_cap*) echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2 ;;\n"
            "*=name*) echo 'Tesla T4' ;;"
        ),
        "7.5",
    ),
}


def fake_smi(folder: Path, cases: str) -> str:
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(SMI.format(cases=cases))
    program.chmod(0o755)
    return f"{program.parent}:/usr/bin:/bin"


@pytest.mark.parametrize("kind", ANSWERS)
def test_auto_asks_the_driver(tmp_path: Path, kind: str) -> None:
    cases, archs = ANSWERS[kind]
    done = generator("render", "--gpu", "auto", folder=tmp_path, path=fake_smi(tmp_path, cases))
    assert done.returncode == 0, done.stderr
    assert f'"{archs}"' in (tmp_path / "build/docker-bake.hcl").read_text()


@pytest.mark.parametrize(
    ("cases", "shown"),
    [
        ("*) echo 'NVIDIA-SMI has failed because it could not communicate with the driver.'; exit 9 ;;", "communicate"),
        ("*) : ;;", "reports no GPU"),
        (None, "no nvidia-smi on PATH"),
    ],
)
def test_auto_without_a_driver_is_unfit(tmp_path: Path, cases: str | None, shown: str) -> None:
    path = fake_smi(tmp_path, cases) if cases else str(tmp_path)
    done = generator("render", "--gpu", "auto", folder=tmp_path, path=path)
    assert done.returncode == 3
    assert shown in done.stderr
    assert "--gpu rtx5090" in done.stderr
