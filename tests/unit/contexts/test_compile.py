"""What a compile sets for the programs that it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.unit.contexts.scripts import load


def test_ccache_reads_no_configuration_out_of_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    script = load("wheel/compile.py")
    for place in ("CUDA_HOME", "WRAPPERS", "TOOLKIT", "CACHE"):
        monkeypatch.setattr(script, place, tmp_path / place)
    (tmp_path / "CACHE").mkdir()
    with patch.dict(os.environ, {"TORCH_CUDA_ARCH_LIST": "12.0", "CCACHE_CONFIGPATH": "/ccache/x/ccache.conf"}):
        script.prepare_environment("x", awaited=False)
        assert os.environ["CCACHE_DIR"] == str(tmp_path / "CACHE/x")
        assert os.environ["CCACHE_CONFIGPATH"] == os.devnull


def test_nor_does_ccache_where_a_cache_is_saved() -> None:
    text = (Path(__file__).parents[3] / "contexts/compiler-cache/Dockerfile.j2").read_text(encoding="utf-8")
    before, _, after = text.partition("export CCACHE_DIR=/saved CCACHE_CONFIGPATH=/dev/null")
    assert "ccache --" not in before
    assert "--max-size" not in after  # it writes its value into a configuration
