"""What an image holds and weighs: layers, and the bytes that an uplift has to add whatever way it is done."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.network.engine import Engine

SCRIPT = Path(__file__).with_name("installed.py")


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Bytes that the new image can't do without: packages that are new or of another version, changed files."""

    packages: int
    files: int

    @property
    def total(self) -> int:
        return self.packages + self.files


def layers(engine: Engine, image: str) -> list[tuple[str, int]]:
    """Instruction and bytes on disk of each layer, newest first (``docker history``)."""
    lines = engine.docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", image).splitlines()
    return [(entry["CreatedBy"], int(entry["Size"])) for entry in map(json.loads, lines)]


def added_bytes(engine: Engine, image: str, base: str) -> int:
    """Bytes on disk that an image has beside its base."""
    return sum(size for _, size in layers(engine, image)) - sum(size for _, size in layers(engine, base))


def contents(engine: Engine, image: str, prefix: str, roots: tuple[str, ...]) -> dict[str, Any]:
    """Packages and files of an image, listed by its own Python."""
    with tempfile.TemporaryDirectory(prefix=f"upl{os.getpid()}-list-", dir="/var/tmp") as folder:
        copy = Path(folder) / SCRIPT.name
        copy.write_bytes(SCRIPT.read_bytes())
        Path(folder).chmod(0o755)
        options = ("--rm", "--network=none", "--env=PYTHONDONTWRITEBYTECODE=1", f"--volume={folder}:/bench:ro")
        program = (f"--entrypoint={prefix}/bin/python", image, f"/bench/{SCRIPT.name}")
        said: dict[str, Any] = json.loads(engine.docker("run", *options, *program, prefix, *roots))
    return said


def needed(base: Mapping[str, Any], image: Mapping[str, Any]) -> Needed:
    """What an image has that its base has not, or has otherwise; a package of the same version may be another build."""
    packages = sum(
        size for name, (version, size) in image["packages"].items() if base["packages"].get(name) != [version, size]
    )
    files = sum(size for path, (digest, size) in image["files"].items() if base["files"].get(path, [""])[0] != digest)
    return Needed(packages=packages, files=files)
