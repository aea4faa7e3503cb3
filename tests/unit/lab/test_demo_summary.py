from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from lab.demo_summary import read_times, summary

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_summary_reads_the_times_in_order(tmp_path: Path) -> None:
    path = tmp_path / "times"
    path.write_text("base image\t12\nbake and push\t345\n")
    assert list(read_times(path).items()) == [("base image", 12), ("bake and push", 345)]


def test_summary_takes_the_digest_of_its_own_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = "127.0.0.1:5000/deepprep-demo:uplifted"
    inspected = [
        {
            "Size": 42,
            "RepoDigests": ["other@sha256:aa", "127.0.0.1:5000/deepprep-demo@sha256:bb", "deepprep-demo@sha256:cc"],
        }
    ]
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\ncat <<'JSON'\n{json.dumps(inspected)}\nJSON\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    figures = summary(image, {"pull": 3, "verify": 4})
    assert figures["digest"] == "sha256:bb"
    assert figures["size_bytes"] == 42
    assert figures["total_seconds"] == 7
