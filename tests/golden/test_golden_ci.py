"""The CI files of shipped recipes, compared with the copies that a reader can open here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows import RECORDED, recorded

HERE = Path(__file__).parent / "ci"


@pytest.mark.parametrize("name", RECORDED)
def test_ci_file_is_as_recorded(name: str) -> None:
    assert recorded(name) == (HERE / name).read_text(encoding="utf-8")


def test_nothing_else_is_recorded() -> None:
    assert {path.name for path in HERE.iterdir()} == set(RECORDED)
