"""A recipe without torch and the base that it uplifts: small enough for many bakes."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import zstandard

TOP = Path(__file__).parents[2]
RECIPE = """\
schema = 2
name = "small"
summary = "A recipe without torch, for tests"

[image]
tag = "uplift-test-small:1"

[base]
image = "{base}"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["six==1.17.0"]
may-change = []

[patch]
roots = ["/opt/app"]
"""
BASE = """\
ARG ROOTFS
FROM ${ROOTFS}
ARG CACHEBUST
RUN [ -e /usr/lib/python3.11/ensurepip ] || (apt-get update && apt-get install --yes python3 python3-venv)
RUN python3 -m venv /opt/env && mkdir /opt/app
RUN printf 'import torch\\nmodel = torch.load(open("x", "rb"))\\n' > /opt/app/load.py
RUN echo "$CACHEBUST" > /opt/bust
"""


def docker(*command: str, check: bool = True) -> str:
    """Run docker and give its stdout."""
    return subprocess.run(["docker", *command], check=check, capture_output=True, text=True).stdout.strip()


def pushed_fetcher(place: str, *login: str) -> dict[str, str]:
    """Push the image that fetches, where it is made here, for engines that lack it; gives what the program is told."""
    here = os.environ.get("GENERATOR_FETCHER")
    if not here:
        return {}
    name = f"{place}/fetcher:1"
    docker("tag", here, name)
    docker(*login, "push", "--quiet", name)
    docker("image", "rm", name)
    return {"GENERATOR_FETCHER": name}


def plain(blob: bytes) -> bytes:
    """Undo the compression of a layer, whichever it has."""
    if blob[:2] == b"\x1f\x8b":
        return gzip.decompress(blob)
    if blob[:4] == b"\x28\xb5\x2f\xfd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(blob)
    return blob


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack a tar archive; Debian bookworm's Python has no extraction filters yet, and later ones ask for one."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--extract", "--file", "-", "--directory", str(folder)], input=plain(archive), check=True)


class Generator:
    """``python -m generator -r small.toml COMMAND`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, recipe: str, *command: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "small.toml").write_text(recipe)
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "./small.toml", *command],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(TOP)},
            capture_output=True,
            text=True,
            check=False,
        )
