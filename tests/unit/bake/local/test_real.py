from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.bake.local.conftest import Machine

STUB = """
case "$*" in
    *real_base*) exit {base} ;;
    *" bake "*) mkdir -p "{build}/verify"; {report} exit {bake} ;;
esac
"""


def lab(machine: Machine, *, base: int = 0, bake: int = 0, report: bool = True) -> None:
    build = machine.state / "real" / "build"
    text = f"echo x >{build}/verify/report.json;" if report else ""
    body = STUB.format(base=base, bake=bake, build=build, report=text)
    machine.stub("python", body, at=machine.work / ".venv/bin/python")


@pytest.mark.parametrize("given", [(), ("deepprep",), ("", "pytorch3d")])
def test_real_without_its_two_checkouts_says_where_they_are(machine: Machine, given: tuple[str, ...]) -> None:
    lab(machine)
    result = machine.run("real.sh", *given)
    assert result.returncode == 2
    assert "git clone --branch v0.7.9" in result.stderr
    assert machine.calls("python") == []


def test_real_says_what_it_takes_and_bakes_the_shipped_recipe_under_names_of_its_own(machine: Machine) -> None:
    lab(machine)
    result = machine.run("real.sh", "/a/deepprep", "/a/pytorch3d", "9.0;12.0")
    assert result.returncode == 0, result.stderr
    assert "25 GB" in result.stderr.split("== base image")[0]
    assert "stand-in" in result.stderr.split("== base image")[0]
    real, base = machine.state / "real", "uplift-real/deepprep:25.1.0"
    generator, site = "python -m generator -r deepprep-cu130", f"--site {real}/site.toml"
    names, build = f"--base {base} --tag {base}-cu130", f"{real}/build"
    files = f"--build {build} --times {real}/times --json {real}/real.json"
    assert machine.calls("python") == [
        f"python -m lab.real_base --deepprep /a/deepprep --tag {base}",
        "python -m lab.demo_rootfs",
        f"python -m lab.real_site --pytorch3d /a/pytorch3d --recipe deepprep-cu130 --out {real}",
        f"{generator} fetch {site}",
        f"{generator} bake {site} {names} --arch 9.0;12.0 --output-dir {build}",
        f"python -m lab.real_summary --image {base}-cu130 {files}",
    ]


@pytest.mark.parametrize(
    ("statuses", "shown"),
    [({"base": 3}, False), ({"bake": 4}, True), ({"bake": 1, "report": False}, False)],
)
def test_real_ends_with_the_status_of_its_phase_and_shows_what_there_is(
    machine: Machine, statuses: dict[str, int], shown: bool
) -> None:
    build = machine.state / "real" / "build" / "verify"
    build.mkdir(parents=True)
    (build / "report.json").write_text("of an earlier run")
    lab(machine, **statuses)  # type: ignore[arg-type]
    assert machine.run("real.sh", "d", "p").returncode == next(iter(statuses.values()))
    assert any("real_summary" in call for call in machine.calls("python")) is shown
