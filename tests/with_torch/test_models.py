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
    from collections.abc import Callable

import torch

from conversion import extract, model_rows, models, rebuild

CODE = """
import collections
import torch
import absent_library.part as part
from absent_library.deep import thing, Base
from shapes import index_of, Helper

class Derived(Base):
    pass

class Layer(torch.nn.Linear):
    def __init__(self, width):
        super().__init__(width, width)
        self.own = torch.arange(width)

class Net(torch.nn.Module):
    def __init__(self, width, depth=2, *, dropout=0.0, flavour="plain"):
        super().__init__()
        self.width, self.depth, self.flavour = width, depth, flavour
        self.drop = torch.nn.Dropout(dropout)
        self.layers = torch.nn.ModuleList([Layer(width) for _ in range(depth)])
        self.norm = torch.nn.BatchNorm1d(width)
        self.index = index_of(width)
        self.pools = [index_of(width), {"up": (index_of(2), None)}]
        self.helper = Helper(width)
        self.register_buffer("mask", torch.ones(width), persistent=False)
        self.epoch = 0
        self.device = "cuda"
    def forward(self, x, scale=None):
        for layer in self.layers:
            x = torch.relu(layer(x))[:, self.index]
        return {"out": self.norm(x) * self.mask.to(self.device), "more": [x.sum(1)]}
"""
SHAPES = """
import torch
def index_of(n, device="cuda"):
    return torch.arange(n - 1, -1, -1, device=device)
class Helper:
    def __init__(self, n):
        self.table = torch.eye(n)
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "net.py").write_text(CODE)
    (folder / "shapes.py").write_text(SHAPES)
    library = folder / "absent_library"
    library.mkdir()
    (library / "__init__.py").write_text("")
    (library / "part.py").write_text("")
    (library / "deep.py").write_text("class Base: pass\ndef thing(): pass\n")
    return folder


def spec_of(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    entry = {
        "name": "nets",
        "files": [f"{tmp_path}/models/*.pt"],
        "path": [f"{tmp_path}/code"],
        "class": "net.Net",
        "key": "model",
        "constructor": {"dropout": {"attribute": "drop.p"}},
        "stubs": ["absent_library"],
        "cpu_defaults": ["shapes"],
        "probe": {
            "seed": 1,
            "sizes": {"rows": 5, "width": {"attribute": "width"}},
            "inputs": [{"name": "x", "shape": ["rows", "width"], "distribution": "uniform", "scale": 3}],
        },
        **changes,
    }
    return {"sets": [entry]}


class Case:
    """One model file, extracted and rebuilt."""

    def __init__(self, tmp_path: Path, code: Path) -> None:
        self.folder, self.code = tmp_path, code
        self.file = tmp_path / "models" / "a.pt"
        self.file.parent.mkdir()

    def make(
        self,
        change: Callable[[Any], object] = lambda _net: None,
        around: Callable[[Any], object] = lambda net: {"epoch": 7, "model": net, "best": 0.5},
        **arguments: Any,
    ) -> None:
        """Pickle a model as a run in the old environment left it."""
        before = set(sys.modules)
        sys.path.insert(0, str(self.code))
        try:
            net = importlib.import_module("net")
            shapes: Any = importlib.import_module("shapes")

            shapes.index_of.__defaults__ = ("cpu",)
            torch.manual_seed(3)
            made = net.Net(**{"width": 4, "dropout": 0.25, **arguments})
            for value in made.parameters():
                torch.nn.init.uniform_(value, -1, 1)
            made.device = "cuda:0"
            change(made)
            torch.save(around(made), self.file)
        finally:
            sys.path.remove(str(self.code))
            for name in set(sys.modules) - before:
                if name.split(".")[0] in ("net", "shapes", "absent_library"):
                    del sys.modules[name]
        self.file.chmod(0o640)

    def extract(self, **changes: Any) -> int:
        return extract.extract(models.parse(spec_of(self.folder, **changes)), self.folder / "x")

    def rebuild(self, **changes: Any) -> int:
        """Rebuild where the library is really gone."""
        library = self.code / "absent_library"
        if library.exists():
            library.rename(self.folder / "gone")
        specs = models.parse(spec_of(self.folder, **changes))
        return rebuild.rebuild(specs, self.folder / "x", self.folder / "out", self.folder / "parity.json")

    @property
    def rebuilt(self) -> Path:
        return self.folder / "out" / str(self.file).lstrip("/")


@pytest.fixture
def case(tmp_path: Path, code: Path) -> Case:
    return Case(tmp_path, code)


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


FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "class": ({}, {"class": "net.Other"}, "holds a net.Net, but the recipe's class is net.Other"),
    "key": ({}, {"key": "net"}, "has no key 'net'; it has 'epoch', 'model', 'best'"),
    "key of no module": ({}, {"key": "best"}, "the key 'best' is a float, not a module"),
    "whole file": ({}, {"key": None}, "the file is a dict, not a module; its keys are"),
    "no such argument": ({}, {"constructor": {"p": {"value": 1}}}, "p is no argument of Net"),
    "no source": ({}, {"constructor": {}}, "dropout: Net has no attribute 'dropout'"),
    "no plain value": ({}, {"constructor": {"dropout": {"attribute": "drop"}}}, "no plain value"),
    "no file": ({}, {"files": ["/nowhere/*.pt"]}, "no file matches /nowhere/*.pt"),
    "no module": ({}, {"cpu_defaults": ["nothing"]}, "can't import nothing, named in cpu_defaults"),
    "forward": (
        {},
        {"probe": {"inputs": [{"name": "x", "shape": [2, 9]}]}},
        "the probe's forward call failed: RuntimeError",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_extract_names_the_model_and_the_reason(case: Case, capsys: pytest.CaptureFixture[str], name: str) -> None:
    arguments, changes, expected = FAILURES[name]
    case.make(**arguments)
    assert case.extract(**changes) == 1
    shown = capsys.readouterr().err
    assert expected in shown
    assert str(case.file) in shown or "model set nets" in shown


def test_every_failing_file_is_named_and_the_others_are_done(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make()
    for name in ("b.pt", "c.pt"):
        (case.file.parent / name).write_bytes(b"no checkpoint")
    assert case.extract() == 1
    shown = capsys.readouterr().err
    assert "2 of 3 models failed" in shown
    assert "b.pt: can't be loaded" in shown
    assert "c.pt: can't be loaded" in shown
    assert (case.folder / "x" / "0000-a.pt.pt").exists()


def edit(case: Case, old: str, new: str, file: str = "net.py") -> None:
    path = case.code / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def failed_rebuild(case: Case, capsys: pytest.CaptureFixture[str], **changes: Any) -> Callable[[], str]:
    case.make()
    assert case.extract() == 0
    return lambda: (case.rebuild(**changes), capsys.readouterr().err)[1]


def test_missing_unexpected_and_misshapen_state_is_told_at_once(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "torch.nn.BatchNorm1d(width)", "torch.nn.LayerNorm(width + 1)")
    shown = run()
    assert f"{case.file}: the state does not fit" in shown
    assert "Unexpected key(s)" in shown
    assert "norm.running_mean" in shown
    assert "size mismatch for norm.weight" in shown


def test_a_changed_index_tensor_fails_with_its_name(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "n - 1, -1, -1", "n", file="shapes.py")
    shown = run()
    assert "index: differs by at most 3" in shown
    assert "pools[0]: differs by at most 3" in shown
    assert "pools[1]['up'][0]" in shown
    assert "parity: output['out'] differs" in shown


def test_an_attribute_of_a_helper_object_is_compared(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "torch.eye(n)", "torch.eye(n) * 2", file="shapes.py")
    assert "helper[table]: differs by at most 1" in run()


def test_other_outputs_fail_unless_a_tolerance_allows_them(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    run = failed_rebuild(case, capsys)
    edit(case, "x.sum(1)", "x.sum(1) + 1e-4")
    shown = run()
    assert "output['more'][0] differs by at most" in shown
    assert "bitwise equality is asked" in shown
    assert case.rebuild(tolerance={"absolute": 1e-3, "reason": "a test"}) == 0
    (entry,) = json.loads((case.folder / "parity.json").read_text())["models"]
    assert entry["parity"]["bitwise"] is False
    assert "(a test)" in entry["parity"]["text"]
    assert case.rebuild(tolerance={"absolute": 1e-6, "reason": "a test"}) == 1


def test_what_training_set_after_construction(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    def change(net: Any) -> None:
        net.epoch = 12
        net.history = [1.0, {"best": torch.ones(2)}]

    case.make(change)
    assert case.extract() == 0
    assert case.rebuild() == 1
    assert "epoch was 12, is 0" in capsys.readouterr().err
    assert case.rebuild(restore=["epoch"]) == 0
    (entry,) = json.loads((case.folder / "parity.json").read_text())["models"]
    assert set(entry["restored"]) == {"device", "epoch", "history"}


def test_weights_in_a_plain_list_do_not_go_unnoticed(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    edit(case, "self.epoch = 0", "self.epoch = 0; self.hidden = [torch.nn.Linear(2, 2)]")
    case.make()
    assert case.extract() == 0
    assert case.rebuild() == 1
    assert "hidden[0]" in capsys.readouterr().err


def test_a_stand_in_that_is_called_is_named(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    edit(case, "self.epoch = 0", "self.epoch = 0; thing()")
    case.make()
    assert case.extract() == 0
    assert case.rebuild() == 1
    assert "absent_library.deep.thing was called" in capsys.readouterr().err


def test_a_stand_in_that_would_be_pickled_is_named(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make()
    assert case.extract() == 0
    edit(case, "self.epoch = 0", "self.epoch = 0; self.kept = thing")
    assert case.rebuild() == 1
    assert "absent_library.deep.thing was pickled" in capsys.readouterr().err


def test_construction_on_cuda_says_what_to_name(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make()
    assert case.extract() == 0
    assert case.rebuild(cpu_defaults=[]) == 1
    shown = capsys.readouterr().err
    assert "can't construct net.Net(" in shown
    assert "cpu_defaults" in shown


def test_another_key_that_the_new_environment_cannot_load(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.make(around=lambda net: {"model": net, "other": net.helper})
    assert case.extract() == 0
    edit(case, "class Helper", "class Renamed", file="shapes.py")
    edit(case, "import index_of, Helper", "import index_of, Renamed as Helper")
    assert case.rebuild() == 1
    assert "the checkpoint's key 'other' can't be loaded" in capsys.readouterr().err


def test_random_outputs_are_refused_without_a_tolerance(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    edit(case, '"more": [x.sum(1)]', '"more": [x.sum(1) + float(__import__("os").urandom(1)[0])]')
    case.make()
    assert case.extract() == 1
    assert "differ between two runs" in capsys.readouterr().err


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
