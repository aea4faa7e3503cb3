from __future__ import annotations

from pathlib import Path

import pytest

from conversion.verify import torch_load_audit
from conversion.verify.rows import Row

BARE = "import torch\n\n\ndef load(name):\n    return torch.load(name)\n"
TOP = Path(__file__).parents[4]


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
    found = torch_load_audit.look_rows([str(root) for root in roots], [str(root) for root in patched], fresh)
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
    monkeypatch.setattr(torch_load_audit, "SITES", 2)
    write(tmp_path / "a.py", "import torch\n" + "torch.load('x')\n" * 5)
    found = list(torch_load_audit.look_rows([str(tmp_path)], [], []))
    assert len(found) == 3
    assert "5 calls without weights_only, or undecided, 3 of them not listed" in found[-1].found


def test_undecided_calls_and_files_that_do_not_parse_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "import torch\nload = torch.load\n")
    write(tmp_path / "b.py", "import torch\ntorch.load(")
    found = rows(tmp_path)
    assert "passed on" in found[f"{tmp_path}/a.py:2"].detail
    assert "can't be read as Python" in found[f"{tmp_path}/b.py:2"].detail
    assert "2 calls" in found[str(tmp_path)].found
