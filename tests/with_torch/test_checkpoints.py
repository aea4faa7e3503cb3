"""Proves the thing: checkpoints of real torch are tried one by one, whatever becomes of each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from conversion.verify import checkpoints


class Crash:
    """Ends the process that loads it."""

    def __reduce__(self) -> Any:
        return os.abort, ()


def test_every_checkpoint_is_tried_though_one_crashes(tmp_path: Path) -> None:
    torch.save({"w": 1.0, "n": "x"}, tmp_path / "a.pth")
    torch.save(Crash(), tmp_path / "b.pth")
    torch.save([1], tmp_path / "c.pth")
    (tmp_path / "d.pth").write_bytes(b"\x80\x02cmissing_module\nThing\n.")
    (tmp_path / "e.pth").write_text("text")
    torch.save(Crash(), tmp_path / "known.pth")
    found = checkpoints.checkpoint_rows([f"{tmp_path}/*.pth", f"{tmp_path}/*.none"], [], [f"{tmp_path}/known.*"])
    by_name = {Path(row.subject).name: row for row in found}
    assert by_name["a.pth"].detail == "a dict of 1 float, 1 str"
    assert (by_name["b.pth"].status, by_name["b.pth"].found) == ("fail", "does not load")
    assert "SIGABRT" in by_name["b.pth"].detail
    assert by_name["c.pth"].status == "pass"
    assert "missing_module" in by_name["d.pth"].detail
    assert (by_name["e.pth"].status, by_name["e.pth"].found) == ("info", "no checkpoint of torch")
    assert by_name["*.none"].found == "no such file"
    assert "known.pth" not in by_name
