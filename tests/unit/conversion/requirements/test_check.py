"""What extensions require, held against an environment; lines of the real PyTorch3D 0.7.9 and torch-sparse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conversion.environment.inventory import Inventory, load
from conversion.failures import ConversionError, SpecError
from conversion.requirements import arrivals, check
from conversion.requirements.check import Extension, Verdict, judge

P3D = ["iopath", 'matplotlib; extra == "all"', 'tqdm>4.29.0; extra == "all"', 'sqlalchemy>=2.0; extra == "implicitron"']
SPARSE = ["scipy", 'pytest; extra == "test"']
BASE = {"torch": "2.11.0+cu130", "numpy": "1.23.5", "scipy": "1.10.1"}


def verdict(requires: list[str], pins: tuple[str, ...] | None = None, **more: str) -> Verdict:
    return judge([Extension("ext", "1.0", pins)], {"ext": {"requires": requires}}, {**BASE, **more})


def lines(found: Verdict) -> list[str]:
    return [wanted.line for wanted in found.wanted]


def test_what_is_missing_comes_in_and_extras_do_not() -> None:
    found = verdict(P3D)
    assert (lines(found), found.failed) == (["iopath"], [])


def test_what_the_environment_has_stays() -> None:
    assert verdict([*SPARSE, "torch>=2.0", "Torch"]) == Verdict([], [], [])


def test_markers_are_of_this_python() -> None:
    assert lines(verdict(['a; python_version < "3"', 'b>=1; python_version >= "3"', "c[x,y]~=2.1"])) == [
        "b>=1",
        "c[x,y]~=2.1",
    ]


def test_another_extension_counts_as_installed_with_its_local_version() -> None:
    extensions = [Extension("torch-scatter", "2.1.2+pt27cu128", None), Extension("ext", "1.0", None)]
    read: dict[str, dict[str, object]] = {
        "torch-scatter": {"requires": []},
        "ext": {"requires": ["torch_scatter>=2.1"]},
    }
    assert judge(extensions, read, BASE) == Verdict([], [], [])


def test_a_version_that_does_not_fit_is_told_with_what_to_do() -> None:
    ((name, reason),) = verdict(["numpy>=2"]).failed
    assert name == "ext"
    assert "requires numpy>=2, and the environment has numpy 1.23.5" in reason
    assert '[stack] also = ["numpy==VERSION"]' in reason


def test_a_conflict_of_the_base_is_no_new_one() -> None:
    base = Inventory("3.10", {}, ("The package `ext` requires `numpy>=2`, but `1.23.5` is installed",))
    known = check.conflicts_of(base)
    found = judge([Extension("ext", "1.0", None)], {"ext": {"requires": ["numpy>=2"]}}, BASE, known)
    assert found.failed == []
    assert "so it was in the base" in found.notes[0]


def test_an_address_is_not_followed() -> None:
    ((_, reason),) = verdict(["thing @ https://example.org/thing.whl"]).failed
    assert "nothing is fetched from where a package says" in reason
    assert '[extensions.ext] requires = ["NAME==VERSION"]' in reason
    assert verdict(["numpy @ https://example.org/numpy.whl"]).failed == []


def test_nonsense_is_told() -> None:
    assert "nobody understands" in verdict(["!!"]).failed[0][1]


def test_metadata_that_can_not_be_read_needs_the_recipes_word() -> None:
    read: dict[str, dict[str, object]] = {"ext": {"error": "its setup.py ended with status 1\nno nvcc"}}
    ((_, reason),) = judge([Extension("ext", "1.0", None)], read, BASE).failed
    assert "no nvcc" in reason
    assert "or [] if it requires nothing" in reason
    assert judge([Extension("ext", "1.0", ())], read, BASE).failed == []
    assert lines(judge([Extension("ext", "1.0", ("iopath==0.1.9",))], read, BASE)) == ["iopath==0.1.9"]


def test_pins_are_for_what_is_missing_alone() -> None:
    found = verdict(P3D, ("iopath==0.1.9", "scipy==1.11.0", "numpy==1.23.*"))
    assert lines(found) == ["iopath", "iopath==0.1.9"]
    assert found.notes == ["ext: scipy==1.11.0 is not needed, the environment has scipy 1.10.1"]


def test_an_old_version_that_nobody_can_compare_counts() -> None:
    assert verdict(["odd>=1"], odd="2004d-beta!").failed == []


def test_the_environment_stands_beside_what_it_lacks(tmp_path: Path) -> None:
    check.write(verdict(P3D, ("iopath==0.1.9",)), Inventory("3.10", BASE), tmp_path)
    assert (tmp_path / "requirements.txt").read_text() == "iopath\niopath==0.1.9\n"
    assert load(tmp_path / "environment.json") == Inventory("3.10", BASE)
    assert json.loads((tmp_path / "why.json").read_text()) == {
        "asked": {"iopath": ["ext", "ext"]},
        "pinned": ["iopath"],
    }
    assert "ext: requires iopath==0.1.9" in (tmp_path / "unresolved.txt").read_text()


def test_nothing_missing_is_an_empty_file(tmp_path: Path) -> None:
    check.write(verdict([]), Inventory("3.10", BASE), tmp_path)
    assert (tmp_path / "requirements.txt").read_bytes() == b""


def change(name: str, version: str, action: str = "installed") -> dict[str, str]:
    return {"name": name, "version": version, "action": action}


def test_what_uv_resolved_is_pinned_and_told() -> None:
    found = arrivals.pins({"changes": [change("portalocker", "3.2.0"), change("iopath", "0.1.9")]})
    assert found == ["iopath==0.1.9", "portalocker==3.2.0"]
    came, pin = arrivals.told(found, {"asked": {"iopath": ["pytorch3d"]}, "pinned": ["iopath"]})
    assert came == "comes in: iopath==0.1.9 (for pytorch3d), portalocker==3.2.0"
    assert pin.endswith('[extensions.pytorch3d] requires = ["iopath==0.1.9", "portalocker==3.2.0"]')
    assert len(arrivals.told(found, {"asked": {}, "pinned": ["iopath", "portalocker"]})) == 1


def test_a_plan_that_changes_what_is_installed_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"numpy 2\.0 is updated"):
        arrivals.pins({"changes": [change("numpy", "2.0", "updated")]})
    with pytest.raises(ConversionError, match="not understood"):
        arrivals.pins({})


def test_the_command_ends_with_every_failure(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\n[ "$2" = check ] || echo \'[{"name": "numpy", "version": "1.23.5"}]\'\n')
    uv.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    (tmp_path / "inventory.json").write_text('{"python": "3.10", "packages": {}}')
    names = {"one": ["numpy>=2", "x @ https://e.org/x"], "two": ["numpy<1"], "three": []}
    entries = [{"name": name, "version": "1", "requires": None} for name in names]
    (tmp_path / "spec.json").write_text(json.dumps({"extensions": entries}))
    for name, requires in names.items():
        (tmp_path / "read" / name).mkdir(parents=True)
        (tmp_path / "read" / name / f"{name}.json").write_text(json.dumps({"requires": requires}))
    command = [
        sys.executable,
        "-m",
        "conversion.requirements.check",
        "--spec",
        "spec.json",
        "--read",
        "read",
        "--uv",
        str(uv),
    ]
    command += ["--prefix", str(tmp_path), "--base-inventory", "inventory.json", "--out", "out"]
    top = str(Path(check.__file__).parents[2])
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": top}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "2 of 3 extensions failed" in done.stderr
    assert done.stderr.count("what to do") == 3


@pytest.mark.parametrize("text", ["", "{}", '{"extensions": [{"name": "x"}]}', '{"extensions": 1}'])
def test_a_wrong_specification_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(SpecError, match="lists no extensions"):
        check.read_spec(tmp_path / "spec.json")
