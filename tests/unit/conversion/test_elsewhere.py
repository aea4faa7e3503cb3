from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conversion import checkpoints, elsewhere
from conversion.rows import Row

BARE = "import torch\n\n\ndef load(name):\n    return torch.load(name)\n"
TOP = Path(__file__).parents[3]


def site(root: Path, torch: str | None = "2.7.0+cu128") -> Path:
    folder = root / "lib/python3.10/site-packages"
    folder.mkdir(parents=True, exist_ok=True)
    if torch:
        (folder / "torch").mkdir(exist_ok=True)
        (folder / "torch/version.py").write_text(f"__version__ = '{torch}'\n")
    return folder


def write(path: Path, text: str = BARE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def rows(*roots: Path, patched: tuple[Path, ...] = (), fresh: tuple[str, ...] = ()) -> dict[str, Row]:
    found = elsewhere.look_rows([str(root) for root in roots], [str(root) for root in patched], fresh)
    return {row.subject.rpartition("site-packages/")[2]: row for row in found}


def test_each_call_has_a_reason_to_act_or_not(tmp_path: Path) -> None:
    folder = site(tmp_path)
    for name in ("nnunet/run.py", "torch_geometric/io.py", "nnunet/tests/test_a.py"):
        write(folder / name)
    write(folder / "nnunet/safe.py", BARE.replace("torch.load(name)", "torch.load(name, weights_only=True)"))
    found = rows(tmp_path, fresh=("torch_geometric",))
    assert "add it to patch.roots" in found["nnunet/run.py:5"].found
    assert "came with the new stack" in found["torch_geometric/io.py:5"].found
    assert "a test or an example" in found["nnunet/tests/test_a.py:5"].found
    assert "3 calls" in found[str(tmp_path)].found
    assert {row.status for row in found.values()} == {"info"}


@pytest.mark.parametrize(("torch", "reason"), [("1.10.2", "its own torch 1.10.2"), (None, "has no torch")])
def test_another_python_is_judged_by_its_own_torch(tmp_path: Path, torch: str | None, reason: str) -> None:
    write(site(tmp_path, torch) / "synth/load.py")
    assert reason in rows(tmp_path)["synth/load.py:5"].found


def test_patched_folders_are_left_out_and_a_missing_one_is_told(tmp_path: Path) -> None:
    write(tmp_path / "app/load.py")
    found = rows(tmp_path, tmp_path / "none", patched=(tmp_path / "app",))
    assert "0 calls" in found[str(tmp_path)].found
    assert found[str(tmp_path / "none")].found == "not in this image"


def test_the_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "SITES", 2)
    write(tmp_path / "a.py", "import torch\n" + "torch.load('x')\n" * 5)
    found = list(elsewhere.look_rows([str(tmp_path)], [], []))
    assert len(found) == 3
    assert "5 calls without weights_only, or undecided, 3 of them not listed" in found[-1].found


def test_undecided_calls_and_files_that_do_not_parse_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "import torch\nload = torch.load\n")
    write(tmp_path / "b.py", "import torch\ntorch.load(")
    found = rows(tmp_path)
    assert "passed on" in found[f"{tmp_path}/a.py:2"].detail
    assert "can't be read as Python" in found[f"{tmp_path}/b.py:2"].detail
    assert "2 calls" in found[str(tmp_path)].found


TORCH = """
import os, pickle

def load(file, map_location=None, weights_only=True):
    assert map_location == "cpu" and weights_only is False
    with open(file, "rb") as opened:
        value = pickle.load(opened)
    if value == "crash":
        os.abort()
    return value

class nn:
    class Module: pass
"""


@pytest.fixture
def torch_that_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path / "site/torch/__init__.py", TORCH)
    monkeypatch.setenv("PYTHONPATH", f"{TOP}:{tmp_path / 'site'}")
    return tmp_path


def pickled(path: Path, expression: str) -> None:
    code = f"import pickle; pickle.dump({expression}, open({str(path)!r}, 'wb'), protocol=2)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_checkpoint_is_tried_though_one_crashes(torch_that_pickles: Path) -> None:
    folder = torch_that_pickles / "model"
    folder.mkdir()
    pickled(folder / "a.pth", "{'w': 1.0, 'n': 'x'}")
    pickled(folder / "b.pth", "'crash'")
    pickled(folder / "c.pth", "[1]")
    (folder / "d.pth").write_bytes(b"\x80\x02cmissing_module\nThing\n.")
    (folder / "e.pth").write_text("text")
    pickled(folder / "known.pth", "'crash'")
    found = checkpoints.checkpoint_rows([f"{folder}/*.pth", f"{folder}/*.none"], [], [f"{folder}/known.*"])
    by_name = {Path(row.subject).name: row for row in found}
    assert by_name["a.pth"].detail == "a dict of 1 float, 1 str"
    assert (by_name["b.pth"].status, by_name["b.pth"].found) == ("fail", "its process ended")
    assert "SIGABRT" in by_name["b.pth"].detail
    assert by_name["c.pth"].status == "pass"
    assert "missing_module" in by_name["d.pth"].detail
    assert (by_name["e.pth"].status, by_name["e.pth"].found) == ("info", "no checkpoint of torch")
    assert by_name["*.none"].found == "no such file"
    assert "known.pth" not in by_name
