"""The files of a lock: what is locked is fetched, and nothing else. Real BuildKit, uv and an index of our own.

Proves the thing, with two packages of one module each in the place of the stack.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli

from lab.demo_rootfs import Machine, rootfs_for
from tests.engine.small import RECIPE, TOP, docker

pytestmark = pytest.mark.engine

IMAGE = "uplift-test-small:1"


def wheel(folder: Path, name: str, version: str, *, requires: str = "", content: str = "") -> Path:
    """Write a wheel of one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": content or f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text)}\n")
    place = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(place, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": "".join(rows) + f"{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return place


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Index:
    """An index in a container of the engine's bridge network; its pages name no hashes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.name = f"uplift-test-index-{os.getpid()}"
        rootfs = rootfs_for(Machine(say=print), force=False)
        serve = ("python3", "-m", "http.server", "--directory", "/srv", "8000")
        docker("run", "--detach", "--name", self.name, rootfs, *serve)
        networks: Any = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.name))
        self.address = f"http://{networks['bridge']['IPAddress']}:8000"

    def publish(self) -> None:
        """Serve what is in the folder of files."""
        for file in self.files.iterdir():
            page = self.folder / "simple" / file.name.partition("-")[0] / "index.html"
            page.parent.mkdir(parents=True, exist_ok=True)
        for page in (self.folder / "simple").iterdir():
            links = [f'<a href="../../files/{file.name}">{file.name}</a>' for file in self.files.glob(f"{page.name}-*")]
            (page / "index.html").write_text("\n".join(links))
        docker("cp", f"{self.folder}/.", f"{self.name}:/srv")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    found = Index(tmp_path / "index")
    yield found
    docker("rm", "--force", found.name, check=False)


@pytest.fixture
def run(base: str, index: Index, tmp_path: Path) -> Any:
    """Run a command on a recipe whose stack is ``alpha``, which requires ``beta``."""
    site = f"https://index-{time.time_ns()}.example.org"  # nothing is cached of an earlier run
    recipe = RECIPE.format(base=base).replace('["six==1.17.0"]', f'["alpha==1.0"]\nindex = "{site}/simple"')
    (tmp_path / "small.toml").write_text(recipe)
    (tmp_path / "site.toml").write_text(f'[mirrors]\n"{site}" = "{index.address}"\n')

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "./small.toml", *arguments, "--site", "site.toml"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TOP)},
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def locked(folder: Path) -> dict[str, str]:
    files: dict[str, str] = tomli.loads((folder / "small.lock.toml").read_text())["files"]["stack"]
    return files


def installed() -> str:
    program = "import alpha, beta; print(alpha.version, beta.version)"
    return docker("run", "--rm", "--entrypoint", "/opt/env/bin/python", IMAGE, "-c", program)


def test_a_lock_is_made_used_held_against_today_and_moved_on(run: Any, index: Index, tmp_path: Path) -> None:
    alpha = wheel(index.files, "alpha", "1.0", requires="Requires-Dist: beta\n")
    beta = wheel(index.files, "beta", "1.0")
    index.publish()
    done = run("lock", "--without", "base")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "small.lock.toml\n"
    first = (tmp_path / "small.lock.toml").read_text()
    assert locked(tmp_path) == {alpha.name: sha256(alpha), beta.name: sha256(beta)}
    assert index.address not in first
    assert not (tmp_path / "build").exists()  # it tells of bakes alone

    # What the index has now is no matter of a locked bake.
    later = wheel(index.files, "beta", "1.1")
    index.publish()
    assert run("lock").returncode == 0
    assert (tmp_path / "small.lock.toml").read_text() == first
    assert run("lock", "--check").returncode == 0
    done = run("bake")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "not locked" not in done.stderr
    assert installed() == "1.0 1.0"

    # One package moves on; the other stays.
    wheel(index.files, "alpha", "1.0.post1", requires="Requires-Dist: beta\n")
    index.publish()
    done = run("lock", "--upgrade", "beta")
    assert done.returncode == 0, done.stderr
    assert locked(tmp_path) == {alpha.name: sha256(alpha), later.name: sha256(later)}
    assert run("bake").returncode == 0
    assert installed() == "1.0 1.1"

    # Everything anew asks the index again, whatever this builder resolved before.
    newest = wheel(index.files, "beta", "1.2")
    index.publish()
    assert run("lock", "--upgrade", "--without", "base").returncode == 0
    assert locked(tmp_path) == {alpha.name: sha256(alpha), newest.name: sha256(newest)}

    # Another recipe: told, not used, and no longer what it would be today.
    recipe = (tmp_path / "small.toml").read_text()
    (tmp_path / "small.toml").write_text(recipe.replace("alpha==1.0", "alpha==1.0.post1"))
    done = run("lock", "--check")
    assert done.returncode == 1
    assert "files.stack: it is for alpha==1.0, and the recipe asks for alpha==1.0.post1" in done.stderr
    done = run("bake", "--dry-run")
    assert "the lock is stale, files.stack" in done.stderr


def test_another_content_under_a_locked_name_is_refused(run: Any, index: Index, tmp_path: Path) -> None:
    alpha = wheel(index.files, "alpha", "1.0")
    index.publish()
    assert run("lock", "--without", "base").returncode == 0
    lock = tmp_path / "small.lock.toml"
    # As of a file that this builder never had: what it fetched once stands in its cache by its hash.
    (tmp_path / "aside").mkdir()
    meant = wheel(tmp_path / "aside", "alpha", "1.0", content="version = 'meant'\n")
    lock.write_text(lock.read_text().replace(sha256(alpha), sha256(meant)))
    done = run("bake", "torch")
    assert done.returncode == 1
    assert f"its SHA-256 is {sha256(alpha)}, expected {sha256(meant)}" in done.stderr
    # The right one comes back, and nothing else had to change.
    shutil.copy(meant, index.files)
    index.publish()
    done = run("bake", "torch")
    assert done.returncode == 0, done.stderr[-4000:]
