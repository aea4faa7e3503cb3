"""What verification makes of a patched image: its files, and the calls that are left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conversion.patch.write import patch
from conversion.verify.patched_files import patched_file_rows
from conversion.verify.patched_source import root_rows

BARE = b"import torch\nx = torch.load(f)\n"
DONE = b"import torch\nx = torch.load(f, weights_only=False)\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "a.py").write_bytes(BARE)
    (root / "done.py").write_bytes(DONE)
    (root / "python2.py").write_bytes(b"print 'torch.load(f)'\n")
    (root / "script").write_bytes(b"#!/usr/bin/env python3\n" + BARE)
    (root / "notes.txt").write_bytes(BARE)
    (root / "data").write_bytes(b"\x00\xff torch.load(f)")
    (root / "open.py").write_bytes(b"import torch\nx = torch.load(f, **k)\n")
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def put(tree: Path, tmp_path: Path) -> dict[str, Any]:
    """Copy the patched files over the source, as the image does; returns the report."""
    report = patch([str(tree)], tmp_path / "out")
    for path, content in contents(tmp_path / "out").items():
        Path(path.removeprefix(str(tmp_path / "out"))).write_bytes(content)
    return report


def test_rows_of_a_patched_image(tree: Path, tmp_path: Path) -> None:
    report = put(tree, tmp_path)
    files = list(patched_file_rows(report))
    assert [row.status for row in files] == ["pass", "pass"]
    rows = list(root_rows([str(tree)]))
    assert [(row.subject, row.status) for row in rows] == [
        (f"{tree}/open.py:2", "info"),
        (f"{tree}/python2.py", "info"),
        (f"{tree}/python2.py:1", "info"),
        (str(tree), "pass"),
    ]


def test_rows_of_an_image_that_was_not_patched(tree: Path, tmp_path: Path) -> None:
    report = patch([str(tree)], tmp_path / "out")
    assert {row.found for row in patched_file_rows(report)} == {"other content"}
    failing = [row for row in root_rows([str(tree)]) if row.status == "fail"]
    assert [row.subject for row in failing] == [f"{tree}/deep/er/a.py:2", f"{tree}/script:3", str(tree)]
    assert failing[-1].found == "2 bare calls"


def test_rows_of_a_patched_file_that_is_gone_or_broken(tree: Path, tmp_path: Path) -> None:
    report = put(tree, tmp_path)
    (tree / "script").unlink()
    (tree / "deep" / "er" / "a.py").write_text("x = (\n")
    assert [row.found for row in patched_file_rows(report)] == ["does not compile", "can't be read"]


def test_a_bare_call_in_an_fstring_fails(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('import torch\nf"{torch.load(x)=}"\n')
    row, root = root_rows([str(tmp_path)])
    assert (row.status, row.found) == ("fail", "a bare call")
    assert (root.status, root.found) == ("fail", "1 bare calls")
