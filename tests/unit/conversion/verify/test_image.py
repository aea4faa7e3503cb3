from __future__ import annotations

import json
from pathlib import Path

import pytest

from conversion.failures import SpecError
from conversion.verify.image import read_spec


def test_other_archs_take_the_place_of_the_specifications(tmp_path: Path) -> None:
    file = tmp_path / "verify.json"
    file.write_text(json.dumps({"prefix": "/env", "archs": ["12.0"], "cards": ["12.0"]}))
    assert read_spec(file, "")["archs"] == ["12.0"]
    found = read_spec(file, "9.0;10.0+PTX")
    assert (found["archs"], found["cards"]) == (["9.0", "10.0"], ["9.0", "10.0"])


def test_a_stack_without_torch_gets_no_archs(tmp_path: Path) -> None:
    file = tmp_path / "verify.json"
    file.write_text(json.dumps({"prefix": "/env", "cards": ["12.0"]}))
    assert read_spec(file, "9.0") == {"prefix": "/env", "cards": ["9.0"]}


def test_what_is_no_specification(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(SpecError, match="has no prefix"):
        read_spec(tmp_path / "x.json", "")
