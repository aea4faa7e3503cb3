"""Where the bench runs: a Docker Engine, a registry and a control group of its own, beside what the user has.

The engine is the laboratory's (``tests/engine/network``): a second dockerd in a network namespace of its own, with an
empty data root. The registry listens on the loopback address of that namespace, so it needs no TLS, and the clients
that talk to it are started in there. Nothing of the user's engine is used but the base image, which is copied.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from typing_extensions import Self

from bake.errors import BuildFailed, EnvironmentUnfit
from lab.demo_rootfs import Machine, fetcher_for
from tests.bench.meter import Meter, descendants, make_group
from tests.engine.network.engine import Engine
from tests.engine.network.processes import PREFIX, Process, serve
from tests.engine.network.switch import FOLDERS, Switch
from tests.engine.network.traffic import Traffic, read_access_log

PORT = 5000
REGISTRY = f"127.0.0.1:{PORT}"
BLOBS = "docker/registry/v2/blobs/sha256"
REPOSITORIES = "docker/registry/v2/repositories"
GIB = 2**30
NEEDED = ("ip", "nsenter", "unshare", "setpriv", "iptables", "dockerd", "docker")


class Place:
    """Engine, registry and meter; use as a context manager, and ``empty`` it before what has to be cold.

    Args:
        base: image of the machine's engine that both ways start from. work: a folder for files of the clients.
        containerd_store: as for ``Engine``.
    """

    def __init__(self, base: str, work: Path, *, containerd_store: bool = True) -> None:
        self.base = base
        self.fetcher = os.environ.get("GENERATOR_FETCHER") or fetcher_for(Machine(say=print))
        self.work = work
        self.meter = Meter()
        self._switch = Switch()
        self._group = make_group(f"{PREFIX}{os.getpid()}-bench")
        self.meter.group = self._group
        options = () if self._group.source.startswith("the whole") else (f"--cgroup-parent=/{self._name}",)
        self.engine = Engine("bench", self._switch, options=options, containerd_store=containerd_store)
        self._registry: Process | None = None

    @property
    def _name(self) -> str:
        return f"{PREFIX}{os.getpid()}-bench"

    def __enter__(self) -> Self:
        self._switch.__enter__()
        try:
            self.engine.__enter__()
            self._adopt()
            self._start_registry()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._registry is not None:
            self._registry.stop()
        if self.engine.folder != Path():
            self.engine.__exit__()
        self._switch.__exit__()
        self._group.remove()

    def empty(self, *, base: bool = True) -> None:
        """Make the engine a fresh one, with nothing but the base image (or not even that), and quiet the disk.

        Where no image can be pulled, it has the one that fetches as well.
        """
        self.engine.stop()
        for part in ("data", "exec"):
            shutil.rmtree(self.engine.folder / part, ignore_errors=True)
        self.engine.start()
        self._adopt()
        for image in filter(None, (self.base if base else "", self.fetcher)):
            self.engine.load(image)
        os.sync()

    def call(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (0,),
    ) -> int:
        """Run a client in the namespace, its output to ``stdout`` and ``stderr`` below ``work``; gives the exit status.

        Raises:
            BuildFailed: it ended with another status than those allowed; the end of what it said is in the message.
        """
        out, err = self.work / "stdout", self.work / "stderr"
        words = ["nsenter", f"--net={self.engine.namespace}", *(str(word) for word in command)]
        with out.open("wb") as opened, err.open("wb") as errors:
            done = subprocess.run(
                words,
                cwd=cwd,
                env={**self.engine.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=errors,
                check=False,
            )
        if done.returncode not in allowed:
            said = "\n".join(
                line for file in (out, err) for line in file.read_text(errors="replace").splitlines()[-40:]
            )
            raise BuildFailed(
                f"it ended with status {done.returncode}:\n{said}",
                where=" ".join(str(word) for word in command[:6]),
                remedy="what it said stands above",
            )
        return done.returncode

    def generator(
        self,
        recipe: str,
        *arguments: str,
        cwd: Path,
        code: Path,
        allowed: tuple[int, ...] = (0,),
        variables: Mapping[str, str] | None = None,
    ) -> int:
        """Run the command line of a tree of this repository against this engine, without the user's settings."""
        site = self.work / "site.toml"
        site.write_text("disk-gib = 0\n")  # the bench looked at the disk itself, once
        ours = (name for name in os.environ if name.startswith("GENERATOR_"))
        unset = [f"--unset={name}" for name in (*ours, "PYTHONDONTWRITEBYTECODE")]
        given = {"GENERATOR_FETCHER": self.fetcher} if self.fetcher else {}
        settings = [f"{name}={value}" for name, value in {"GENERATOR_SITE": site, **given, **(variables or {})}.items()]
        command = ("env", *unset, *settings, sys.executable, "-m", "generator", "-r", recipe, *arguments)
        # Nothing is written into the tree; compiled all the same, as whoever ran it before has it.
        environment = {"PYTHONPATH": str(code), "PYTHONPYCACHEPREFIX": str(self.work / "pycache")}
        return self.call(command, cwd=cwd, environment=environment, allowed=allowed)

    def stored_bytes(self) -> int:
        """Bytes of all blobs that the registry holds."""
        return sum(path.stat().st_size for path in (self._data / BLOBS).glob("*/*/data"))

    def mark(self) -> int:
        """A point in the registry's access log, for ``traffic``."""
        time.sleep(0.5)  # it writes its log a moment after it answered
        return self._log.stat().st_size

    def traffic(self, since: int) -> Traffic:
        """What the registry answered since a mark; ``pulled_bytes`` is what it is asked for."""
        self.mark()
        text = self._log.read_bytes()[since:].decode(errors="replace")
        return read_access_log(text, lambda _digest: 0)

    def clear_registry(self) -> None:
        """Make the registry an empty one."""
        if self._registry is not None:
            self._registry.stop()
        shutil.rmtree(self._data, ignore_errors=True)
        self._start_registry()

    def forget(self, repository: str) -> None:
        """Take a repository out of the registry, which starts anew, since it remembers what it had."""
        assert self._registry is not None
        self._registry.stop()
        shutil.rmtree(self._data / REPOSITORIES / repository)
        self._start_registry()

    @property
    def _data(self) -> Path:
        return self.engine.folder / "registry"

    @property
    def _log(self) -> Path:
        return self.engine.folder / "access.log"

    def _adopt(self) -> None:
        self._group.adopt(descendants(self.engine.pid))

    def _start_registry(self) -> None:
        program = shutil.which("docker-registry") or shutil.which("registry")
        if program is None:
            raise EnvironmentUnfit("there is no docker-registry", remedy="run `make registry`: it installs one")
        folder = self.engine.folder
        config = folder / "registry.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: warn}}\nhttp: {{addr: '{REGISTRY}'}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self._data}}}, delete: {{enabled: true}}}}\n"
        )
        self._registry = serve(
            *("nsenter", f"--net={self.engine.namespace}", program, "serve", config),
            stdout=self._log,
            stderr=folder / "registry.log",
        )
        time.sleep(1)
        assert self._registry.running, self._registry.tail()


def require_fit(base_bytes: int, needed_gib: float) -> None:
    """Check that this machine can run the bench.

    Args:
        base_bytes: what the base takes on the engine. needed_gib: room that a bake takes beside it.

    Raises:
        EnvironmentUnfit: no root, a program is missing, or the disk has no room.
    """
    if os.geteuid() != 0:
        raise EnvironmentUnfit("the bench starts an engine of its own: it needs root", remedy="run it as root")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise EnvironmentUnfit(f"not on PATH: {', '.join(missing)}", remedy="run `make engine`, or install them")
    free = shutil.disk_usage(FOLDERS).free
    needed = int(needed_gib * GIB) + base_bytes
    if free < needed:
        raise EnvironmentUnfit(
            f"one round needs {needed / GIB:.0f} GiB of disk at once, and {free / GIB:.1f} GiB are free",
            where=str(FOLDERS),
            remedy="free some, or say with --disk-gib how much a bake of this recipe needs beside its base",
        )
