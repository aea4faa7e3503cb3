"""The lab: a stand-in base of DeepPrep's shape and a mirror with what the recipe fetches. See ``lab/README.md``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
CONTEXT = Path(__file__).parent / "lab"
RUNFILE = "https://developer.download.nvidia.com/compute/cuda/12.8.0/local_installers/cuda_12.8.0_570.86.10_linux.run"
ARCHIVE = "https://github.com/facebookresearch/pytorch3d/archive/refs/tags/v0.7.9.tar.gz"
PASSWORD = "canary-4417"
PORT = 8000
BASE = "uplift-test/deepprep:25.1.0"  # never a name that a user's engine may hold


def docker(*command: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *command], check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A running mirror, a base in the loopback registry, and a site file that knows both.

    Addresses begin with a part of their own each time (``prefix``), so that nobody has them in a cache.
    """

    mirror: str
    hub: str
    address: str
    prefix: str
    sums: dict[str, str]

    def write_site(self, folder: Path, **changes: str) -> Path:
        """Write the place's files; ``changes`` are further top-level keys, as TOML."""
        root = f"http://{self.address}:{PORT}/{self.prefix}"
        mirrors = {
            "https://download.pytorch.org/": f"{root}/pytorch/",
            "https://data.pyg.org/": f"{root}/pyg/",
            "https://developer.download.nvidia.com/": f"{root}/nvidia/",
            "https://github.com/": f"{root}/github/",
            "docker.io/": f"{self.hub}/",
        }
        checksums = {RUNFILE: self.sums[RUNFILE.rsplit("/", 1)[1]], ARCHIVE: self.sums["v0.7.9.tar.gz"]}
        (folder / "netrc").write_text(f"machine {self.address} login lab password {PASSWORD}\n")
        rows = ['netrc = "netrc"', "disk-gib = 3", *(f"{key} = {value}" for key, value in changes.items())]
        rows += ["[mirrors]", *(f"{json.dumps(prefix)} = {json.dumps(to)}" for prefix, to in mirrors.items())]
        rows += ["[checksums]", *(f"{json.dumps(url)} = {json.dumps(value)}" for url, value in checksums.items())]
        (folder / "site.toml").write_text("\n".join(rows) + "\n")
        return folder / "site.toml"

    def served(self) -> list[str]:
        """Paths that the mirror gave so far."""
        lines = docker("logs", self.mirror).splitlines()
        return [line.split()[1] for line in lines if line.startswith('"GET') and '" 200' in line]

    def fetch(self, path: str) -> bytes:
        """A file of the mirror, as its users get it."""
        return fetch(f"http://{self.address}:{PORT}/{self.prefix}/{path}")

    def generator(
        self, *command: str, folder: Path, environment: dict[str, str] | None = None, module: str = "generator"
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line in a folder."""
        return subprocess.run(
            [sys.executable, "-m", module, *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(TOP), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )


def fetch(url: str) -> bytes:
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, url, "lab", PASSWORD)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(manager))
    content: bytes = opener.open(url, timeout=10).read()
    return content


def build(target: str, name: str, rootfs: str) -> None:
    bundle = os.environ.get("GENERATOR_CA_BUNDLE")
    secret = [f"--secret=id=ca-bundle,src={bundle}"] if bundle else []
    values = [f"--build-arg=ROOTFS={rootfs}", f"--build-arg=CACHEBUST={time.time_ns()}"]
    arguments = ["--provenance=false", *secret, *values, "--target", target, "-t", name]
    docker("buildx", "build", "--quiet", *arguments, str(CONTEXT))


def sums(address: str) -> dict[str, str]:
    for _ in range(50):
        try:
            text = fetch(f"http://{address}:{PORT}/any/sums.txt").decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.1)
            continue
        return {name: value for value, name in (line.split() for line in text.splitlines())}
    raise AssertionError("the mirror does not answer")
