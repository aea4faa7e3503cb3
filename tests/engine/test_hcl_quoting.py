"""Quoting held against the real parser: what goes in comes out of ``docker buildx bake --print``.

Proves the thing: the parser is buildx's.
"""

from __future__ import annotations

import json
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.render.hcl import hcl_string

pytestmark = pytest.mark.engine

NASTY = [
    'quote " inside',
    "back\\slash \\n \\\\",
    "two\nlines\r\nand\ttabs",
    "${BASE_IMAGE} $${x} $ {",
    "%{ if true } %%{x} 100% {",
    "ünïcödé → 漢字 🧠",
    "control \x01 \x7f \x1b[0m",
    "${", "%{", "$${", "$$", "%%", "\\${", '"${"',
    "#not a comment // nor this",
    "",
]  # fmt: skip
# A label's value is free text; variables and functions would be evaluated in it.
# HCL normalises strings to NFC (its specification says so), so the comparison does too.


def printed(folder: Path, values: list[str]) -> list[str]:
    labels = "\n".join(f'    "n{number}" = {hcl_string(value)}' for number, value in enumerate(values))
    file = folder / "quoting.hcl"
    file.write_text(f'target "t" {{\n  labels = {{\n{labels}\n  }}\n}}\n', encoding="utf-8", newline="")
    done = subprocess.run(
        ["docker", "buildx", "bake", "-f", str(file), "--print", "t"],
        capture_output=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)["target"]["t"]["labels"]
    # --print writes HCL-safe text: it escapes template openers once more.
    return [found[f"n{n}"].replace("$${", "${").replace("%%{", "%{") for n in range(len(values))]


def expected(value: str) -> str:
    return unicodedata.normalize("NFC", value)


def test_nasty_values_survive(tmp_path: Path) -> None:
    assert printed(tmp_path, NASTY) == [expected(value) for value in NASTY]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(
            st.one_of(st.sampled_from("${}%\\\"'\n\r\t#"), st.characters(exclude_categories=["Cs"], min_codepoint=1)),
            max_size=30,
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_text_survives(tmp_path: Path, values: list[str]) -> None:
    assert printed(tmp_path, values) == [expected(value) for value in values]
