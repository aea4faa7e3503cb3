"""The scripts that string the steps together: venv.sh, lint.sh, demo.sh, the Makefile and .ci/run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.bake.local.conftest import Machine

REPOSITORY = Path(__file__).resolve().parents[4]

PYTHON = """
case "$*" in
    "-m lab.demo_base --demo") exit {base} ;;
    *" bake "*) exit {bake} ;;
    *" verify "*) exit {verify} ;;
esac
"""


def demo_machine(
    machine: Machine, *, base: int = 0, bake: int = 0, verify: int = 0, pull: int = 0, digest: str = "sha256:aa"
) -> None:
    """`make demo` after its set-up: python and docker are stubs with the exit statuses given."""
    machine.stub("python", PYTHON.format(base=base, bake=bake, verify=verify), at=machine.work / ".venv/bin/python")
    machine.stub("docker", f'case "$1" in pull) exit {pull} ;; image) exit 1 ;; buildx) echo {digest} ;; esac')


def test_demo_pulls_back_what_it_pushed_and_verifies_that(machine: Machine) -> None:
    demo_machine(machine)
    result = machine.run("demo.sh", REGISTRY_PORT="5123")
    assert result.returncode == 0, result.stderr
    image = "127.0.0.1:5123/deepprep-demo:uplifted"
    summary_call = (
        f"python -m lab.demo_summary --image {image}"
        f" --times {machine.state}/demo.times --json {machine.state}/demo.json"
    )
    assert machine.calls("python") == [
        "python -m lab.demo_base --demo",
        "python -m lab.demo_rootfs",
        "python -m generator -r demo bake --push --registry 127.0.0.1:5123",
        f"python -m generator -r demo verify {image}",
        summary_call,
    ]
    assert machine.calls("docker") == [
        f"docker buildx imagetools inspect --format {{{{.Manifest.Digest}}}} {image}",
        "docker image rm deepprep-demo:uplifted",
        f"docker image rm {image}",
        f"docker pull --quiet {image}",
    ]
    phases = [line.split("\t")[0] for line in (machine.state / "demo.times").read_text().splitlines()]
    assert phases == ["base image", "bake and push", "pull", "verify"]


def test_demo_takes_the_image_afresh_only_when_the_registry_has_another(machine: Machine) -> None:
    def removals() -> int:
        return sum("image rm" in call for call in machine.calls("docker"))

    demo_machine(machine)
    assert machine.run("demo.sh").returncode == 0
    assert removals() == 2
    assert machine.run("demo.sh").returncode == 0
    assert removals() == 2
    demo_machine(machine, digest="sha256:bb")
    assert machine.run("demo.sh").returncode == 0
    assert removals() == 4


@pytest.mark.parametrize(
    ("phase", "statuses"),
    [
        ("base image", {"base": 3}),
        ("bake and push", {"bake": 130}),
        ("pull", {"pull": 1}),
        ("verify", {"verify": 4}),
    ],
)
def test_demo_ends_with_the_status_of_the_phase_that_failed(
    machine: Machine, phase: str, statuses: dict[str, int]
) -> None:
    demo_machine(machine, **statuses)  # type: ignore[arg-type]
    result = machine.run("demo.sh")
    assert result.returncode == next(iter(statuses.values()))
    assert f"ended in the phase '{phase}'" in result.stderr
    assert not any("demo_summary" in call for call in machine.calls("python"))


def test_demo_says_that_a_ca_bundle_is_handed_in(machine: Machine) -> None:
    demo_machine(machine)
    assert "as a secret: /x/ca.pem" in machine.run("demo.sh", GENERATOR_CA_BUNDLE="/x/ca.pem").stderr
    assert "secret" not in machine.run("demo.sh").stderr


def test_venv_outside_of_the_repository(machine: Machine) -> None:
    result = machine.run("venv.sh")
    assert result.returncode == 3
    assert "no pyproject.toml" in result.stderr


def venv_machine(machine: Machine) -> None:
    """A repository whose python3 makes a stub of an environment; `pip install` leaves a mark."""
    (machine.work / "pyproject.toml").write_text("[project]\n")
    machine.stub("pip", "", at=machine.root / "inside")
    inside = f'mkdir -p .venv/bin; cp "{machine.root}/inside" .venv/bin/python'
    (machine.bin / "python3").unlink()
    machine.stub("python3", f'case "$1" in -m) {inside} ;; esac')


def test_venv_is_made_once_and_again_when_pyproject_changes(machine: Machine) -> None:
    venv_machine(machine)

    def installs() -> int:
        return sum("install" in call for call in machine.calls("pip"))

    assert machine.run("venv.sh").returncode == 0
    assert installs() == 1
    assert machine.run("venv.sh").stderr == ""
    assert installs() == 1
    (machine.work / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert machine.run("venv.sh").returncode == 0
    assert installs() == 2


def test_python_too_old_on_a_system_without_apt(machine: Machine) -> None:
    venv_machine(machine)
    machine.stub("python3", "exit 1")
    machine.os_release(machine.FEDORA)
    result = machine.run("venv.sh")
    assert result.returncode == 3
    assert "Python >= 3.10" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_debian_without_venv_module_gets_it(machine: Machine) -> None:
    venv_machine(machine)
    lacking = (machine.bin / "python3").read_text()
    machine.stub("python3", f'[ -e "{machine.root}/venv-installed" ] || exit 1\n{lacking}')
    machine.stub("apt-get", f'case "$*" in *install*) touch "{machine.root}/venv-installed" ;; esac')
    assert machine.run("venv.sh").returncode == 0
    assert "python3-venv" in machine.calls("apt-get")[-1]


def test_failing_pip_is_shown(machine: Machine) -> None:
    venv_machine(machine)
    broken = machine.work / ".venv/bin/python"
    machine.stub("python", 'case "$*" in *install*) echo "CERTIFICATE_VERIFY_FAILED"; exit 1 ;; esac', at=broken)
    result = machine.run("venv.sh")
    assert result.returncode == 3
    assert "CERTIFICATE_VERIFY_FAILED" in result.stderr
    assert "PIP_CERT" in result.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_alone_lists_every_target() -> None:
    result = subprocess.run(["make", "-C", str(REPOSITORY)], capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in result.stdout.splitlines() if line.startswith("  make ")}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:"))
    assert listed == set(phony.split()[1:])


def ci_tree(machine: Machine, *, make: str, down: int = 0) -> Path:
    """A clone with the real .ci/run, everything that it calls being a stub."""
    clone = machine.root / "a clone"
    (clone / ".ci").mkdir(parents=True)
    shutil.copy(REPOSITORY / ".ci" / "run", clone / ".ci" / "run")
    machine.stub("bash", "", at=machine.bin / "unused")
    (machine.bin / "bash").symlink_to(str(shutil.which("bash")))
    machine.stub("make", make)
    machine.stub("engine-down.sh", f"echo stopping >&2; exit {down}", at=clone / "bake/local/engine-down.sh")
    return clone


SUMMARY = "======== 1 passed in 0.1s ========"


@pytest.mark.parametrize(("demo", "tests", "expected"), [(0, 0, 0), (0, 1, 1), (4, 1, 4), (4, 0, 4)])
def test_ci_run_goes_on_after_a_failure_and_ends_with_the_summary(
    machine: Machine, demo: int, tests: int, expected: int
) -> None:
    make = f'[ "$1" = demo ] && exit {demo}; echo "{SUMMARY}"; echo "make: ***" >&2; exit {tests}'
    result = machine.run(ci_tree(machine, make=make) / ".ci" / "run")
    assert result.returncode == expected
    assert result.stdout.splitlines()[-1] == SUMMARY
    assert [call.split()[1] for call in machine.calls("make")] == ["demo", "test-all"]
    assert len(machine.calls("engine-down.sh")) == 1
