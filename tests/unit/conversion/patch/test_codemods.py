"""Several codemods on one file: another one is put beside those that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from conversion.patch import codemods
from conversion.patch.codemod import Codemod, Edit, Result
from conversion.patch.scan import scan
from conversion.verify.patched_source import root_rows

SOURCE = b"import torch\ntorch.load(numpy.float)\n"


def plain_float(source: bytes, _known: Mapping[str, str]) -> Result:
    if b"numpy.float" not in source:
        return Result(source)
    return Result(source.replace(b"numpy.float", b"float"), (Edit(2, 1, "numpy.float", "float"),))


def in_text(text: str) -> Iterator[tuple[int, int, str]]:
    yield from ((1, 1, text.strip()) for _ in range("numpy.float" in text))


@pytest.fixture(autouse=True)
def another(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {**codemods.CODEMODS, "plain-float": Codemod("numpy.float", plain_float, in_text)}
    for module in ("conversion.patch.codemods", "conversion.patch.scan", "conversion.verify.patched_source"):
        monkeypatch.setattr(f"{module}.CODEMODS", there)


@pytest.mark.parametrize("names", [("torch-load", "plain-float"), ("plain-float", "torch-load")])
def test_each_goes_on_with_what_the_one_before_it_made(names: tuple[str, ...]) -> None:
    done = codemods.transform(names, SOURCE, {})
    assert done.source == b"import torch\ntorch.load(float, weights_only=False)\n"
    assert len(done.edits) == 2


def test_one_that_is_not_asked_for_changes_nothing() -> None:
    assert codemods.transform(["plain-float"], SOURCE, {}).source == b"import torch\ntorch.load(float)\n"


def test_each_finds_its_own_mentions_in_text_and_has_its_own_rows(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(SOURCE)
    (tmp_path / "run.sh").write_text("python -c 'numpy.float'\n")
    (text,) = (item for item in scan([str(tmp_path)], ["torch-load", "plain-float"]) if not item.python)
    assert [place.reason.partition(" in ")[0] for place in text.undecided] == ["numpy.float"]
    failing = [row for row in root_rows([str(tmp_path)], ["torch-load", "plain-float"]) if row.status == "fail"]
    assert [(row.subject, row.expected) for row in failing] == [
        (f"{tmp_path}/a.py:2", "no bare torch.load"),
        (str(tmp_path), "no bare torch.load"),
        (f"{tmp_path}/a.py:2", "no bare numpy.float"),
        (str(tmp_path), "no bare numpy.float"),
    ]
