"""BuildKit counts steps as cached whose results are gone from its store; a bake gets over it.

How it comes about in BuildKit is a race (https://github.com/moby/buildkit/pull/6808); here the leases are removed that
it keeps results by, on an engine of its own. Proves the thing from then on: the same state, the same error, its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.network.engine import Engine
from tests.engine.network.processes import run
from tests.engine.small import RECIPE, TOP

pytestmark = pytest.mark.engine


def generator(engine: Engine, folder: Path, base: str, command: str) -> subprocess.CompletedProcess[str]:
    (folder / "small.toml").write_text(RECIPE.format(base=base))
    return subprocess.run(
        [sys.executable, "-m", "generator", "-r", "small.toml", command],
        cwd=folder,
        env={**engine.environment, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )


def lose_results(engine: Engine) -> int:
    """Take from containerd what steps made and no later step was built upon; gives the number of results."""
    containerd = ("ctr", "--address", engine.folder / "exec/containerd/containerd.sock", "--namespace", "moby")
    snapshots = [line.split() for line in run(*containerd, "snapshots", "ls").splitlines()]
    unfinished = [columns[0] for columns in snapshots if len(columns) == 3 and columns[-1] == "Active"]
    for name in unfinished:
        run(*containerd, "leases", "rm", "--sync", name)
    return len(unfinished)


def test_a_bake_gets_over_a_result_that_buildkit_lost(second_engine: Engine, second_base: str, tmp_path: Path) -> None:
    assert generator(second_engine, tmp_path, second_base, "render").returncode == 0
    # As far as a step that the next one is built upon: before it is, its result is kept by its lease alone.
    begun = (tmp_path / "build/contexts/tools/Dockerfile").read_text()
    begun = f"{begun[: begun.index('RUN')]}FROM scratch\nCOPY --from=fetch /tools /\n"
    (tmp_path / "begun.json").write_text(json.dumps({"target": {"tools": {"dockerfile-inline": begun}}}))
    bake = ["docker", "buildx", "bake", "--file", "build/docker-bake.hcl", "--file", "begun.json", "tools"]
    subprocess.run(bake, cwd=tmp_path, env=second_engine.environment, check=True)
    assert lose_results(second_engine) > 0

    done = generator(second_engine, tmp_path, second_base, "bake")
    assert done.returncode == 0, done.stderr
    assert "BuildKit has lost results; once more, without its cache for " in done.stderr
    again = generator(second_engine, tmp_path, second_base, "bake")
    assert again.returncode == 0, again.stderr
    assert "BuildKit has lost" not in again.stderr
