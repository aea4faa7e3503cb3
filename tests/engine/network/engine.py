"""A Docker Engine of its own: empty, in a network namespace of its own, beside the machine's engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Self

from tests.engine.network.processes import PREFIX, Process, remove_later, run, serve
from tests.engine.network.switch import FOLDERS, Switch, mtu

SETTINGS = Path(__file__).parents[3] / "bake/local/engine-daemon.json"
BIP = "172.31.250.1/24"  # each engine's docker0 lies in a namespace of its own: all can have the same
# A mount namespace of its own too: /etc/docker (certs.d) is private, and no mount outlives the daemon.
_START = 'mount --bind "$1" /etc/docker && shift && exec "$@"'


class Engine:
    """A Docker Engine with an empty data root: what a fresh CI runner is.

    It starts in about a second. Use as a context manager; leaving it removes all that it held.

    Args:
        name: part of the namespace's name. switch: the network that it is plugged into. system: PEM file of the CAs
            that its machine trusts, in place of the usual ones. The engine asks a registry's token server with these
            alone; certs.d (``trust``) counts for the registry itself. options: further ones of dockerd.
        containerd_store: keep images in containerd's store; else in that of the graph drivers, the classic one.
    """

    def __init__(
        self,
        name: str,
        switch: Switch,
        *,
        system: Path | None = None,
        options: Sequence[str] = (),
        containerd_store: bool = True,
    ) -> None:
        self.name = name
        self._options = tuple(options)
        self._containerd_store = containerd_store
        self._system = system
        self.switch = switch
        self._namespace: Path | None = None
        self._process: Process | None = None
        self.folder = Path()

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def host(self) -> str:
        """What DOCKER_HOST has to be."""
        return f"unix://{self.socket}"

    @property
    def namespace(self) -> Path:
        """The network namespace, for ``nsenter --net``."""
        assert self._namespace is not None, "the engine is not plugged in"
        return self._namespace

    @property
    def environment(self) -> dict[str, str]:
        """The environment for clients of this engine: logins and builders are its own (DOCKER_CONFIG)."""
        kept = {key: value for key, value in os.environ.items() if key not in {"DOCKER_CONTEXT", "BUILDX_BUILDER"}}
        return {**kept, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.folder / "client")}

    @property
    def pid(self) -> int:
        """Process id of dockerd."""
        assert self._process is not None, "the engine was not started"
        return self._process.pid

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=FOLDERS))
        for part in ("etc-docker", "client"):
            (self.folder / part).mkdir()
        Path("/etc/docker").mkdir(exist_ok=True)
        self._namespace = self.switch.plug(self.name)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.switch.unplug(self.name)
        remove_later(self.folder)

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        folder = self.folder
        # dockerd's pid is that of the whole chain: each program replaces itself by the next.
        private = ("nsenter", f"--net={self.namespace}", "unshare", "--mount", "--propagation", "slave")
        shell = ("sh", "-c", _START, "sh", folder / "etc-docker")
        # A container's packets have to pass the way out too: without this its bridge has an MTU of 1500.
        bridge = ("--bip", BIP, "--mtu", mtu())
        daemon = ("dockerd", "--config-file", self._settings(), "--host", self.host, *bridge)
        places = (("data-root", "data"), ("exec-root", "exec"), ("pidfile", "dockerd.pid"))
        options = [*(f"--{option}={folder / part}" for option, part in places), *self._options]
        log = folder / "dockerd.log"
        environment = {**os.environ, **({"SSL_CERT_FILE": str(self._system)} if self._system else {})}
        self._process = serve(*private, *shell, *daemon, *options, stdout=log, stderr=log, environment=environment)
        self._process.wait_until(lambda: self.docker("version", "--format", "{{.Server.Version}}", check=False) != "")

    def _settings(self) -> Path:
        """The file with the daemon's settings: the project's own, with the store that was asked for."""
        if self._containerd_store:
            return SETTINGS
        file = self.folder / "daemon.json"
        settings = json.loads(SETTINGS.read_text())
        file.write_text(json.dumps({**settings, "features": {"containerd-snapshotter": False}}))
        return file

    def stop(self) -> None:
        """Stop the daemon; images and caches stay for the next start."""
        if self._process is not None:
            self._process.stop(seconds=30)

    def docker(self, *command: str | Path, check: bool = True, stdin: bytes | None = None) -> str:
        """Run docker against this engine and give its stdout."""
        return run("docker", *command, check=check, stdin=stdin, environment=self.environment)

    def trust(self, registry: str, authority: Path) -> None:
        """Put a registry's CA where this engine looks for it: certs.d, as a site would."""
        folder = self.folder / "etc-docker/certs.d" / registry
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(authority, folder / "ca.crt")

    def load(self, image: str) -> None:
        """Copy an image from the machine's engine to this one."""
        with subprocess.Popen(["docker", "image", "save", image], stdout=subprocess.PIPE) as saved:
            done = subprocess.run(
                ["docker", "image", "load", "--quiet"],
                stdin=saved.stdout,
                env=self.environment,
                check=False,
                capture_output=True,
                text=True,
            )
        assert saved.returncode == done.returncode == 0, done.stderr

    def size(self) -> int:
        """Bytes on disk below the data root."""
        return int(run("du", "--summarize", "--bytes", self.folder / "data").split()[0])
