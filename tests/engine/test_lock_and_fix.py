"""``lock`` and ``doctor --fix`` with a real registry on loopback and the real engine.

Proves the thing, on a base of one file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

pytestmark = pytest.mark.engine

TOP = Path(__file__).parents[2]
REGISTRY = f"127.0.0.1:{os.environ.get('REGISTRY_PORT', '5000')}"
BASE = f"{REGISTRY}/uplift-test/lock-base-{os.getpid()}:1"
RECIPE = f"""\
schema = 2
name = "locked"
summary = "A recipe whose base is in a registry"

[image]
tag = "uplift-test-locked:1"

[base]
image = "{BASE}"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["six==1.17.0"]
"""


LOCK = ("lock", "--without", "stack", "--without", "fetcher")  # no Python is in that base


def docker(*command, check=True):
    return subprocess.run(["docker", *command], check=check, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def base(tmp_path):
    """A base in the registry that the engine does not have."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "file").write_text(BASE)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    docker("buildx", "build", "--quiet", "--provenance=false", "--tag", BASE, "--push", str(folder))
    docker("image", "rm", "--force", BASE, check=False)
    yield BASE
    docker("image", "rm", "--force", BASE, check=False)


@pytest.fixture
def run(tmp_path):
    def command(*arguments):
        (tmp_path / "locked.toml").write_text(RECIPE)
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "locked.toml", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(tmp_path / "assets")},
            capture_output=True,
            text=True,
            check=False,
        )

    return command


@pytest.mark.usefixtures("base")
def test_the_lock_pins_the_base_by_registry_and_engine_alike(run, tmp_path):
    assert run(*LOCK).returncode == 0
    text = (tmp_path / "locked.lock.toml").read_text()
    digest = tomli.loads(text)["base"]["digest"]
    docker("pull", "--quiet", BASE)
    assert run(*LOCK).returncode == 0
    assert (tmp_path / "locked.lock.toml").read_text() == text
    rendered = run("render")
    assert rendered.returncode == 0, rendered.stderr
    assert f"{BASE}@{digest}" in (tmp_path / "build/docker-bake.hcl").read_text()


@pytest.mark.usefixtures("base")
def test_a_base_that_is_not_the_locked_one_is_told(run, tmp_path):
    docker("pull", "--quiet", BASE)
    assert run(*LOCK).returncode == 0
    lock = tmp_path / "locked.lock.toml"
    digest = tomli.loads(lock.read_text())["base"]["digest"]
    lock.write_text(lock.read_text().replace(digest, "sha256:" + "a" * 64))
    done = run("doctor", "--format", "json")
    assert done.returncode == 3
    (finding,) = (row for row in json.loads(done.stdout)["findings"] if row["check"] == "base")
    assert f"with the digest {digest}, and sha256:{'a' * 64} is locked" in finding["message"]


@pytest.mark.usefixtures("base")
def test_a_base_that_moved_is_told_without_a_build(run, tmp_path):
    assert run(*LOCK).returncode == 0
    lock = tmp_path / "locked.lock.toml"
    assert run("lock", "--check").returncode == 0
    digest = tomli.loads(lock.read_text())["base"]["digest"]
    (tmp_path / "context" / "file").write_text("another one")
    docker("buildx", "build", "--quiet", "--provenance=false", "--tag", BASE, "--push", str(tmp_path / "context"))
    docker("image", "rm", "--force", BASE, check=False)
    before = lock.read_bytes()
    done = run("lock", "--check")
    assert (done.returncode, done.stdout, lock.read_bytes()) == (1, "", before)
    assert f"and {digest} is locked" in done.stderr
    assert run(*LOCK).returncode == 0  # keeps what it knows
    assert lock.read_bytes() == before
    assert run("lock", "--upgrade", "base").returncode == 0
    assert tomli.loads(lock.read_text())["base"]["digest"] != digest
    assert run("lock", "--check").returncode == 0


@pytest.mark.usefixtures("base")
def test_fix_pulls_the_base_and_makes_folders(run, tmp_path):
    done = run("doctor", "--fix", "--output-dir", "made/build")
    assert done.returncode == 0, done.stderr
    assert f"pulling {BASE}" in done.stderr
    assert docker("image", "inspect", "--format", "{{.Id}}", BASE).startswith("sha256:")
    assert (tmp_path / "made/build").is_dir()
    assert "2 mended" in done.stderr
    again = run("doctor", "--fix", "--output-dir", "made/build")
    assert "nothing here can be mended by itself" in again.stderr
