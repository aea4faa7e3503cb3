from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("options", "environment", "recipe"),
    [
        ([], {}, "deepprep"),
        ([], {"GENERATOR_RECIPE": "deepprep-cu130"}, "deepprep-cu130"),
        (["-r", "demo"], {"GENERATOR_RECIPE": "deepprep-cu130"}, "demo"),
    ],
)
def test_option_before_environment_before_default(
    options: list[str], environment: dict[str, str], recipe: str, tmp_path: Path
) -> None:
    known = {name: value for name, value in os.environ.items() if not name.startswith("GENERATOR_")}
    done = subprocess.run(
        [sys.executable, "-m", "generator", *options, "plan", "--format", "json"],
        env={**known, "PYTHONPATH": str(TOP), **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["recipe"] == recipe
