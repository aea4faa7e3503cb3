from __future__ import annotations

from pathlib import Path

import pytest

from tests.with_torch.cases import Case, write_code


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """One model file, to be extracted and rebuilt."""
    return Case(tmp_path, write_code(tmp_path / "code"))
