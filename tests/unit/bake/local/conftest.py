"""The scripts run in a made-up machine: a PATH of stubs, an os-release, a state folder, all in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

LOCAL = Path(__file__).resolve().parents[4] / "bake" / "local"

# What the scripts may take for granted on any Debian, Ubuntu, Fedora or Alpine.
# fmt: off
BASIC_TOOLS = (
    "sh", "env", "awk", "basename", "cat", "chmod", "cksum", "cp", "cut", "date", "dirname", "find", "grep", "id",
    "ln", "ls", "mkdir", "mv", "ps", "rm", "sed", "setsid", "sleep", "tail", "tee", "touch", "true",
)
# fmt: on


@dataclass(kw_only=True)
class Machine:
    """A made-up machine; `stub` puts a command on its PATH, `run` runs one of the scripts there."""

    DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n'
    UBUNTU = 'PRETTY_NAME="Ubuntu 26.04 LTS"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=resolute\n'
    FEDORA = 'PRETTY_NAME="Fedora Linux 43"\nID=fedora\n'
    AS_ROOT = 'case "$1" in -un) echo root ;; *) echo 0 ;; esac'
    AS_USER = 'case "$1" in -un) echo ada ;; *) echo 1000 ;; esac'

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def work(self) -> Path:
        return self.root / "work"

    def stub(self, name: str, body: str, *, at: Path | None = None) -> None:
        """A shell script; every call is noted in `calls`."""
        path = at or self.bin / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.root}/calls.log"\n{body}\n')
        path.chmod(0o755)

    def os_release(self, text: str) -> None:
        (self.root / "os-release").write_text(text)

    def calls(self, name: str) -> list[str]:
        log = self.root / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.split()[0] == name]

    def run(self, script: str | Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(LOCAL / script), *arguments],
            env={**self.environment, **environment},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Debian, root, nothing of Docker installed."""
    made = Machine(root=tmp_path)
    made.bin.mkdir()
    made.work.mkdir()
    for tool in BASIC_TOOLS:
        found = shutil.which(tool, path=os.environ["PATH"])
        if found:
            (made.bin / tool).symlink_to(found)
    (made.bin / "python3").symlink_to(sys.executable)
    made.environment = {
        "PATH": str(made.bin),
        "HOME": str(tmp_path),
        "OS_RELEASE_FILE": str(tmp_path / "os-release"),
        "LOCAL_STATE": str(made.state),
        "ENGINE_RUN_FOLDER": str(tmp_path / "run"),
        "POLICY_RC_D": str(tmp_path / "policy-rc.d"),
    }
    made.os_release(Machine.DEBIAN)
    made.stub("id", Machine.AS_ROOT)
    return made
