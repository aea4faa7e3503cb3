"""A repository behind a registry with a password and a gate, which bakes push to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bake.buildx import results
from generator.resolve.caches import KEY
from tests.engine.gate import PASSWORD, USER, Gate, PasswordRegistry
from tests.engine.small import RECIPE, TOP

NAME = "uplift-test-push"


@pytest.fixture(scope="module")
def registry_with_password(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PasswordRegistry]:
    with PasswordRegistry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def gate(registry_with_password: PasswordRegistry) -> Iterator[Gate]:
    with Gate(registry_with_password.address) as made:
        yield made


class Place:
    """Bakes and pushes to one repository that is nobody else's."""

    def __init__(self, folder: Path, base: str, gate: Gate, registry: PasswordRegistry) -> None:
        self.folder, self.gate, self._registry = folder, gate, registry
        self.team = f"team-{folder.name.rpartition('-')[2].replace('_', '-')}-{os.getpid()}"
        # Another package than in other tests, so that nothing of theirs is cached by these.
        self.recipe = RECIPE.format(base=base).replace("uplift-test-small:1", f"{NAME}:1").replace("1.17.0", "1.16.0")

    @property
    def tags(self) -> dict[str, str]:
        """Those that people use: not the image store's, and no list of what refers to an image."""
        found = self._registry.tags(f"{self.team}/{NAME}")
        return {name: digest for name, digest in found.items() if not name.startswith((KEY, "sha256-"))}

    @property
    def results(self) -> dict[str, Any]:
        data: dict[str, Any] = dict(results.load(self.folder / "build").data)
        return data

    def start(self, *options: str, token: str = "", **environment: str) -> subprocess.Popen[str]:
        (self.folder / "small.toml").write_text(self.recipe)
        secret = {"GENERATOR_REGISTRY_TOKEN": token} if token else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "generator", "-r", "small.toml", "bake", "--push"]
            + ["--registry", f"{self.gate.address}/{self.team}", "--username", USER]
            + ([] if token else ["--password-stdin"])
            + list(options),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(TOP), **secret, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("" if token else PASSWORD)
        process.stdin.close()
        process.stdin = None
        return process

    def push(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*options, **environment)
        out, said = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, said)


@pytest.fixture
def place(tmp_path: Path, base: str, gate: Gate, registry_with_password: PasswordRegistry) -> Place:
    return Place(tmp_path, base, gate, registry_with_password)
