"""What is rendered for the shipped recipes, compared with the copies that a reader can open here.

After a change that is meant: ``.venv/bin/python -m tests.golden.update``.
"""

from __future__ import annotations

import pytest

from tests.golden.copies import golden, recorded


@pytest.mark.parametrize("path", sorted(golden()))
def test_renders_as_recorded(path: str) -> None:
    assert golden()[path] == recorded().get(path)


def test_nothing_else_is_recorded() -> None:
    assert recorded().keys() == golden().keys()
