"""Extract, rebuild and the model rows on small models of every awkward kind.

Needs a torch: ``tests/engine/test_with_torch.py`` runs it inside the demo's base and uplifted images.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    pass

import torch

from conversion import extract, model_rows, models, rebuild
from tests.with_torch.cases import Case, edit, spec_of


def test_round_trip(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make()
    assert case.extract() == 0
    assert case.rebuild() == 0
    (entry,) = json.loads((case.folder / "parity.json").read_text())["models"]
    assert entry["agrees"]
    assert entry["parity"]["bitwise"]
    assert entry["other_keys"] == 2
    assert entry["restored"] == ["device"]
    assert case.rebuilt.stat().st_mode & 0o777 == 0o640
    assert "bitwise equal" in capsys.readouterr().out


def test_the_rebuilt_file_passes_verification_at_its_final_place(case: Case) -> None:
    case.make()
    assert case.extract() == 0
    assert case.rebuild() == 0
    case.rebuilt.replace(case.file)
    rows = list(model_rows.check_set(models.parse(spec_of(case.folder))[0], case.folder / "x"))
    assert [row.status for row in rows] == ["pass"]
    assert "stand-ins for what the image lacks: absent_library" in rows[0].detail
    loaded = torch.load(case.folder / "x" / "0000-a.pt.pt", weights_only=False)
    assert list(loaded["checkpoint"]["keys"]) == ["epoch", "model", "best"]


def test_two_runs_give_the_same_bytes(case: Case) -> None:
    case.make()
    assert case.extract() == 0
    first = (case.folder / "x" / "0000-a.pt.pt").read_bytes()
    assert case.extract() == 0
    assert (case.folder / "x" / "0000-a.pt.pt").read_bytes() == first
    assert case.rebuild() == 0
    first = case.rebuilt.read_bytes()
    assert case.rebuild() == 0
    assert case.rebuilt.read_bytes() == first


def test_modes_types_and_gradient_flags_come_back(case: Case) -> None:
    def change(net: Any) -> None:
        net.double()
        net.eval()
        net.layers[1].train()
        net.layers[0].weight.requires_grad_(False)

    case.make(change)
    kinds = {"probe": {"seed": 0, "inputs": [{"name": "x", "shape": [3, 4], "dtype": "float64"}]}}
    assert case.extract(**kinds) == 0
    assert case.rebuild(**kinds) == 0
    (entry,) = json.loads((case.folder / "parity.json").read_text())["models"]
    # a buffer that is in no state dict was converted with the module
    assert set(entry["restored"]) == {"device", "mask"}


def test_the_module_alone_without_a_dict(case: Case) -> None:
    case.make(around=lambda net: net)
    assert case.extract(key=None) == 0
    assert case.rebuild(key=None) == 0


def test_a_link_to_a_model_counts_once(case: Case) -> None:
    case.make()
    (case.file.parent / "z.pt").symlink_to(case.file)
    assert case.extract() == 0
    assert len(json.loads((case.folder / "x" / "manifest.json").read_text())["models"]) == 1


def test_rows_come_through_what_model_code_prints(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.make()
    shutil.copy(case.file, case.file.parent / "b.pt")
    assert case.extract() == 0
    edit(case, "import collections", "import os; print('hello', end=''); os.write(1, b'{\"check\": 1}')")
    monkeypatch.setenv("PYTHONPATH", str(Path(model_rows.__file__).parents[1]))
    rows = list(model_rows.model_rows(spec_of(case.folder), str(case.folder / "x")))
    assert [row.status for row in rows] == ["pass", "pass"]
    (case.file.parent / "b.pt").unlink()
    rows = list(model_rows.model_rows(spec_of(case.folder), str(case.folder / "x")))
    assert [(row.status, row.found) for row in rows] == [("pass", "bitwise equal"), ("fail", "the file is gone")]


def test_a_crash_of_the_process_is_a_failing_row(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.make()
    assert case.extract() == 0
    edit(case, "import collections", "import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(Path(model_rows.__file__).parents[1]))
    (row,) = model_rows.model_rows(spec_of(case.folder), str(case.folder / "x"))
    assert row.status == "fail"
    assert "SIGABRT" in row.detail


def test_two_sets_with_modules_of_the_same_names(case: Case, tmp_path: Path) -> None:
    case.make()
    other = tmp_path / "second"
    other.mkdir()
    (other / "net.py").write_text(
        textwrap.dedent(
            """
            import torch
            class Net(torch.nn.Module):
                def __init__(self, size):
                    super().__init__()
                    self.size = size
                    self.layer = torch.nn.Linear(size, 1)
                def forward(self, x):
                    return self.layer(x)
            """
        )
    )
    sys.path.insert(0, str(other))
    net = importlib.import_module("net")

    torch.save({"net": net.Net(3)}, tmp_path / "second.pt")
    sys.path.remove(str(other))
    del sys.modules["net"]
    document = spec_of(tmp_path)
    document["sets"].append(
        {
            "name": "second",
            "files": [f"{tmp_path}/second.pt"],
            "path": [str(other)],
            "class": "net.Net",
            "key": "net",
            "probe": {"inputs": [{"name": "x", "shape": [2, 3]}]},
        }
    )
    specs = models.parse(document)
    assert extract.extract(specs, tmp_path / "x") == 0
    assert rebuild.rebuild(specs, tmp_path / "x", tmp_path / "out", tmp_path / "parity.json") == 0
