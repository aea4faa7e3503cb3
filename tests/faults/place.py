"""Where faults are made: an engine with its data on a small disk of its own, a registry, an index, one recipe.

Engine, registry and network are the laboratory's (``tests/engine/network``). The client's folders lie on the engine's
disk, as on most machines, so that a full disk is full for both.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import Self

from generator.resolve.caches import KEY
from lab.demo_rootfs import Machine, fetcher_for, rootfs_for
from tests.bench.meter import descendants
from tests.engine.extension import Project, build_base
from tests.engine.network.authority import Authority
from tests.engine.network.engine import Engine
from tests.engine.network.processes import run
from tests.engine.network.proxy import FaultProxy
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch
from tests.engine.small import TOP, docker
from tests.faults.index import Index

USER, PASSWORD = "writer", "canary-51d0-writer"
IMAGE = "uplift-test-faults"
DISK = "8G"  # sparse: what is not written takes no room
_OF_A_BUILD_FOLDER = {".image-uplift", "docker-bake.hcl", "contexts", "results.json", "metadata.json", "mirrors.txt"}
_OF_A_REPORT = {"report.json", "bytes.json", "junit.xml", "installed.json"}


class SmallDisk(Engine):
    """An engine whose data lies on a file system in a file."""

    _before: tuple[int, ...] = ()  # what ran in containers when it was killed

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    def start(self) -> None:
        if not self.disk.exists():
            self.disk.mkdir()
            image = self.folder / "disk.ext4"
            run("truncate", f"--size={DISK}", image)
            run("mkfs.ext4", "-q", "-m", "0", image)
            run("mount", "-o", "loop", image, self.disk)
            for part in ("data", "work", "tmp"):
                (self.disk / part).mkdir()
            (self.folder / "data").symlink_to(self.disk / "data")
        super().start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        run("umount", "--lazy", self.disk, check=False)
        super().__exit__()

    def kill(self) -> None:
        """End daemon and containerd as a lack of memory does; ``start`` starts them again."""
        assert self._process is not None
        self._before = tuple(self.steps())
        for process in [self.pid, *self._named("containerd")]:
            os.kill(process, signal.SIGKILL)
        self._process.stop(kill=True)

    def steps(self) -> list[int]:
        """Processes in containers of this engine: their root is another one than ours."""
        return [process for process in descendants(self.pid) if _root(process) not in (None, _root(os.getpid()))]

    def strays(self) -> list[str]:
        """Programs below the daemon that are not its own, and those of a daemon that was killed."""
        orphans = [_name(process) for process in self._before if _root(process) not in (None, _root(os.getpid()))]
        below = [_name(process) for process in descendants(self.pid)[1:]]
        return [*orphans, *(name for name in below if name not in ("containerd", ""))]

    def mounts(self) -> int:
        """How many mounts the daemon sees below its folder."""
        text = Path(f"/proc/{self.pid}/mountinfo").read_text()
        return sum(line.split()[4].startswith(str(self.folder)) for line in text.splitlines())

    def _named(self, name: str) -> list[int]:
        return [process for process in descendants(self.pid) if _name(process) == name]


def _root(process: int) -> tuple[int, int] | None:
    try:
        status = Path(f"/proc/{process}/root").stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


@dataclass
class Bake:
    """One run of the command line, in a folder and to a repository of its own."""

    process: subprocess.Popen[str]
    folder: Path

    def ended(self, seconds: float = 400) -> tuple[int, str, str]:
        """Wait for its end; gives status, stdout and stderr."""
        out, said = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, said


@dataclass
class Place:
    """Everything, as a context manager; ``fresh`` it before each trial.

    Args:
        work: an empty folder. chance: decides what breaks when.
    """

    work: Path
    chance: random.Random
    switch: Switch = field(default_factory=Switch)

    def __enter__(self) -> Self:
        self.base = f"uplift-test-faults-base:{os.getpid()}"
        machine = Machine(say=print)
        build_base(self.base, rootfs_for(machine, force=False))
        self.fetcher = os.environ.get("GENERATOR_FETCHER") or fetcher_for(machine)
        self.switch.__enter__()
        for part in ("authority", "registry", "index", "recipe"):
            (self.work / part).mkdir()
        self.authority = Authority(self.work / "authority")
        accounts = {USER: PASSWORD}
        self.registry = PrivateRegistry(self.work / "registry", self.switch, self.authority, accounts=accounts)
        self.registry.__enter__()
        self.proxy = FaultProxy(self.switch, self.authority, self.registry.host)
        self.proxy.__enter__()
        self.index = Index(self.switch, self.authority, self.work / "index", self.chance)
        self.index.__enter__()
        self.engine = SmallDisk("faults", self.switch)
        self.engine.__enter__()
        self.engine.trust(self.proxy.host, self.authority.certificate)
        for image in filter(None, (self.base, self.fetcher)):
            self.engine.load(image)
        self.mounts = self.engine.mounts()
        self.project = Project(folder=self.work / "recipe", base=self.base, tag=f"{IMAGE}:1")
        self.project.write()
        self.site = self.work / "site.toml"
        self.site.write_text(f"disk-gib = 0\n{self.index.mirrors()}")
        self.bundle = self.authority.bundle()
        return self

    def __exit__(self, *_: object) -> None:
        for part in (self.engine, self.index, self.proxy, self.registry, self.switch):
            part.__exit__()
        docker("image", "rm", "--force", self.base, check=False)

    def fresh(self, name: str) -> Path:
        """Forget all steps and images but the base; gives an empty folder."""
        self.engine.docker("buildx", "prune", "--all", "--force")
        for image in self.engine.docker("image", "ls", "--quiet", "--filter", f"reference={IMAGE}").split():
            self.engine.docker("image", "rm", "--force", image)
        folder = self.engine.disk / "work" / name
        folder.mkdir()
        return folder

    def bake(self, folder: Path, *, push: bool, repository: str = "") -> Bake:
        """Start a bake, whose image goes to the registry or stays on the engine."""
        name = f"{self.proxy.host}/{repository or folder.name}"
        wheels = ("--registry", name, "--username", USER, "--password-stdin", "--push") if push else ()
        options = (*wheels, "--ca-bundle", str(self.bundle), "--progress", "plain", "--push-wait", "20")
        process = subprocess.Popen(
            [sys.executable, "-m", "generator", "-r", str(self.project.recipe), "bake", *options],
            cwd=folder,
            env={
                **{name: value for name, value in self.engine.environment.items() if not name.startswith("GENERATOR_")},
                "PYTHONPATH": str(TOP),
                "TMPDIR": str(self.engine.disk / "tmp"),
                "GENERATOR_ASSETS_DIR": str(self.project.assets),
                **({"GENERATOR_FETCHER": self.fetcher} if self.fetcher else {}),
                "GENERATOR_SITE": str(self.site),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(PASSWORD)
        process.stdin.close()
        process.stdin = None
        return Bake(process=process, folder=folder)

    def leaks(self, folder: Path, *, push: bool, repository: str = "") -> list[str]:
        """Name what a finished bake must not have left."""
        found = [f"temporary {path.name}" for path in (self.engine.disk / "tmp").iterdir()]
        for place, known in (
            (folder / "build", _OF_A_BUILD_FOLDER | {"verify"}),
            (folder / "build/verify", _OF_A_REPORT),
        ):
            found += [f"file {path.relative_to(folder)}" for path in place.iterdir() if path.name not in known]
        found += [f"process {name}" for name in self.engine.strays()]
        mounts = self.engine.mounts() - self.mounts
        found += [f"{mounts} mounts"] if mounts > 0 else []
        images = self.engine.docker("image", "ls", "--all", "--format", "{{.Repository}}:{{.Tag}}").split()
        found += [f"image {name}" for name in images if name not in (self.base, self.fetcher, f"{IMAGE}:1")]
        if push:
            prefix = repository or folder.name
            tags = [tag for tag in self.registry.tags(f"{prefix}/{IMAGE}") if not tag.startswith((KEY, "sha256-"))]
            found += [f"tags {tags}"] if len(tags) != 2 else []
            found += [f"repository {name}" for name in self.registry.repositories(f"{prefix}/") if "part" in name]
        return found

    def forget(self, folder: Path) -> None:
        """Remove a trial's folder."""
        shutil.rmtree(folder)
