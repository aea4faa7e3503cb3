"""Debian's docker-registry on a loopback port, for tests that need no engine; it has no referrers interface."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from bake.credentials import Keyring, Login
from bake.reference import Reference, parse_reference
from bake.registry import Outcome, Registry
from bake.registry.manifest import MANIFEST
from tests.engine.network.processes import serve

CONFIGURATION = b'{"os": "linux", "architecture": "amd64", "config": {}}'


@dataclass(frozen=True)
class Loopback:
    """Where it listens, and its disk. ``accounts``: passwords by user; the first one is this side's login."""

    host: str
    folder: Path
    accounts: Mapping[str, str]

    def registry(self, *, logged_in: bool = True) -> Registry:
        login = next((Login(username=user, secret=word, given=True) for user, word in self.accounts.items()), None)
        return Registry(self.host, keyring=Keyring({self.host: login} if login and logged_in else {}))

    def put_image(self, name: str, content: bytes = b"layer") -> Reference:
        """Put an image of one layer there; gives its name with tag and digest."""
        reference = parse_reference(f"{self.host}/{name}")
        registry = self.registry()
        rows = []
        for blob in (CONFIGURATION, content):
            assert registry.put_blob(reference.repository, blob).outcome is Outcome.ANSWERS
            rows.append({"digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)})
        config, layer = rows
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}],
            }
        ).encode()
        written = registry.put_manifest(reference.repository, reference.tag or "latest", manifest, MANIFEST)
        assert written.outcome is Outcome.ANSWERS, written
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        return parse_reference(f"{reference.registry}/{reference.repository}:{reference.tag}@{digest}")

    def tags(self, repository: str) -> list[str]:
        folder = self.folder / "data/docker/registry/v2/repositories" / repository / "_manifests/tags"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    @property
    def log(self) -> str:
        """What it was asked."""
        return (self.folder / "access.log").read_text()


@contextmanager
def loopback(
    folder: Path, *, accounts: Mapping[str, str] | None = None, tls: tuple[Path, Path] | None = None
) -> Iterator[Loopback]:
    """Start one in an empty folder.

    Args:
        accounts: passwords by user; nobody is asked who they are when empty. tls: certificate and key.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    assert program is not None, "docker-registry is not installed: `make registry` installs it"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host, **({"tls": {"certificate": str(tls[0]), "key": str(tls[1])}} if tls else {})},
    }
    if accounts:
        rows = (f"{user}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}" for user, word in accounts.items())
        (folder / "htpasswd").write_text("\n".join(rows))
        settings["auth"] = {"htpasswd": {"realm": "laboratory", "path": str(folder / "htpasswd")}}
    config = folder / "config.yml"
    config.write_text(json.dumps(settings))  # YAML holds JSON
    process = serve(program, "serve", config, stdout=folder / "access.log", stderr=folder / "registry.log")
    try:
        made = Loopback(host, folder, accounts or {})
        process.wait_until(lambda: made.registry().probe().status == 200)
        yield made
    finally:
        process.stop()
