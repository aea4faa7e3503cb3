"""A base that brings steps of its own along (ONBUILD): real BuildKit.

Proves that a bake refuses it, and that plain buildx gives such a step neither the network nor a secret in a target that
waits for it alone.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.small import RECIPE, Generator, docker

pytestmark = pytest.mark.engine

DOCKERFILE = """\
ARG BASE
FROM ${BASE}
ONBUILD RUN --mount=type=secret,id=netrc echo "seen: $(cat /run/secrets/netrc /proc/net/route | wc --lines) lines" >&2
"""


@pytest.fixture
def triggering(base: str, tmp_path: Path) -> Iterator[str]:
    """A base with a step that counts the lines of the login and of the table of routes that it sees."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    name = f"uplift-test-triggers:{os.getpid()}"
    docker("buildx", "build", f"--build-arg=BASE={base}", "-t", name, str(folder))
    yield name
    docker("image", "rm", "--force", name, check=False)


def test_it_is_refused_and_its_steps_get_neither_network_nor_secrets(triggering: str, tmp_path: Path) -> None:
    run = Generator(tmp_path)
    recipe = RECIPE.format(base=triggering)
    refused = run(recipe, "bake")
    assert refused.returncode == 2, refused.stderr
    assert "it has ONBUILD instructions" in refused.stderr
    assert run(recipe, "render").returncode == 0
    (tmp_path / "netrc").write_text("machine example.org login a password b\n")
    done = subprocess.run(
        ["docker", "buildx", "bake", "-f", "build/docker-bake.hcl", "--progress=plain", "patch"],
        cwd=tmp_path,
        env={**os.environ, "NETRC": str(tmp_path / "netrc"), "BUILDX_BAKE_ENTITLEMENTS_FS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = re.findall(r"seen: (\d+) lines", done.stderr)
    assert seen == ["1"], done.stderr  # the head of the table of routes
