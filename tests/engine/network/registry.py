"""A private registry as labs have one: TLS from a private CA, accounts, deletion, an access log."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import requests
from typing_extensions import Self

from tests.engine.network.authority import Authority
from tests.engine.network.processes import Process, run, serve
from tests.engine.network.switch import Switch
from tests.engine.network.traffic import Traffic, read_access_log

if TYPE_CHECKING:
    from tests.engine.network.tokens import TokenServer

MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_BLOBS, _REPOSITORIES = "docker/registry/v2/blobs/sha256", "docker/registry/v2/repositories"


class PrivateRegistry:
    """Debian's docker-registry at the host's end of a switch, over TLS.

    Use as a context manager. It may be stopped and started in between: address and content stay.

    Args:
        folder: an empty folder of its own. switch, authority: where it listens, and who signs for it.
        accounts: passwords by user, for htpasswd; nobody is asked who they are when empty. tokens: instead of
            passwords, ask for tokens of this server. data: the disk of another registry, to serve the same content.
    """

    def __init__(
        self,
        folder: Path,
        switch: Switch,
        authority: Authority,
        *,
        accounts: Mapping[str, str] | None = None,
        tokens: TokenServer | None = None,
        data: Path | None = None,
    ) -> None:
        program = shutil.which("docker-registry") or shutil.which("registry")
        assert program is not None, "docker-registry is not installed: `make registry` installs it"
        self._program = program
        self.folder = folder
        self.data = data or folder / "data"
        self.host = f"{switch.address}:{switch.free_port()}"
        self.authority = authority
        self._tokens = tokens
        self._process: Process | None = None
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(authority.certificate)
        auth: dict[str, object] = {}
        if tokens is not None:
            auth = {"auth": {"token": tokens.settings}}
        elif accounts:
            self.session.auth = next(iter(accounts.items()))
            auth = {"auth": {"htpasswd": {"realm": "laboratory", "path": str(_htpasswd(folder, accounts))}}}
        certificate, key = authority.issue(switch.address)
        settings = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self.data)}, "delete": {"enabled": True}},
            "http": {"addr": self.host, "tls": {"certificate": str(certificate), "key": str(key)}},
            **auth,
        }
        (folder / "config.yml").write_text(json.dumps(settings))  # YAML holds JSON

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.session.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        config, access, log = (self.folder / name for name in ("config.yml", "access.log", "registry.log"))
        self._process = serve(self._program, "serve", config, stdout=access, stderr=log)
        self._process.wait_until(self._listens)

    def stop(self, *, kill: bool = False) -> None:
        """Stop it, connections and all; ``kill``: without a word to anybody."""
        if self._process is not None:
            self._process.stop(kill=kill)

    @property
    def log(self) -> str:
        """What it logged, requests included."""
        return "".join((self.folder / name).read_text(errors="replace") for name in ("registry.log", "access.log"))

    def mark(self) -> int:
        """A point in time, for ``traffic``."""
        sign = uuid.uuid4().hex
        self.session.get(f"https://{self.host}/v2/", params={"mark": sign}, timeout=10)
        deadline = time.monotonic() + 10
        while (place := (self.folder / "access.log").read_text().find(sign)) < 0:
            assert time.monotonic() < deadline, "the registry writes no access log"
            time.sleep(0.01)
        return place + len(sign)

    def traffic(self, since: int = 0) -> Traffic:
        """Requests that it answered since a mark."""
        until = self.mark()
        lines = (self.folder / "access.log").read_text()[since:until].splitlines()
        return read_access_log("\n".join(line for line in lines if "?mark=" not in line), self.size_of)

    def digest(self, repository: str, tag: str) -> str:
        """What a tag names now; '' when there is none."""
        link = self._repository(repository) / f"_manifests/tags/{tag}/current/link"
        return link.read_text() if link.is_file() else ""

    def manifest(self, repository: str, reference: str) -> dict[str, object]:
        """A manifest by tag or digest, as a client gets it."""
        url = f"https://{self.host}/v2/{repository}/manifests/{reference}"
        answer = self.session.get(url, headers={"Accept": MANIFESTS, **self._token(repository)}, timeout=10)
        answer.raise_for_status()
        read: dict[str, object] = answer.json()
        return read

    def layers(self, repository: str, reference: str) -> list[str]:
        """Digests of the layers of an image, of all its platforms."""
        read: Any = self.manifest(repository, reference)
        if "manifests" in read:
            return [layer for item in read["manifests"] for layer in self.layers(repository, item["digest"])]
        return [layer["digest"] for layer in read["layers"]]

    def tags(self, repository: str) -> list[str]:
        folder = self._repository(repository) / "_manifests/tags"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def repositories(self, prefix: str = "") -> list[str]:
        """Names of repositories that begin so."""
        top = self._repository("")
        names = (str(path.parent.relative_to(top)) for path in top.rglob("_layers"))
        return sorted(name for name in names if name.startswith(prefix))

    def delete(self, repository: str, tag_prefix: str | None = None) -> list[str]:
        """Delete what begins so: whole repositories, or tags of one; gives what went. Blobs stay until ``collect``."""
        if tag_prefix is None:
            gone = self.repositories(repository)
            for name in gone:
                shutil.rmtree(self._repository(name))
            return gone
        gone = [tag for tag in self.tags(repository) if tag.startswith(tag_prefix)]
        for tag in gone:
            shutil.rmtree(self._repository(repository) / "_manifests/tags" / tag)
        return gone

    def collect(self) -> None:
        """Delete the blobs that nothing refers to; stop it before and start it after."""
        run(self._program, "garbage-collect", "--delete-untagged", self.folder / "config.yml")

    def keep(self) -> Path:
        """Keep what is on its disk now; costs little, since blobs never change and are linked."""
        kept = self.folder / f"kept-{uuid.uuid4().hex}"
        _copy(self.data, kept)
        return kept

    def put_back(self, kept: Path) -> None:
        """Make its disk again what it was when ``keep`` was called."""
        shutil.rmtree(self.data)
        _copy(kept, self.data)

    def intact(self, repository: str, tag: str) -> bool:
        """Whether a tag can be pulled: every manifest, config and layer that it leads to is there, byte by byte."""
        pending = [self.digest(repository, tag)]
        while pending:
            digest = pending.pop()
            content = self._content(digest)
            if content is None or f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
                return False
            if content.startswith(b"{") and b'"schemaVersion"' in content[:1000]:
                read = json.loads(content)
                parts = (*read.get("manifests", ()), *read.get("layers", ()), read.get("config"))
                pending += [part["digest"] for part in parts if part]
        return True

    def blobs(self) -> Iterator[tuple[str, Path]]:
        """Every blob on its disk: digest and file, of all repositories."""
        for path in sorted((self.data / _BLOBS).glob("*/*/data")):
            yield f"sha256:{path.parent.name}", path

    def size_of(self, digest: str) -> int:
        """Bytes of a blob on its disk; 0 when it is gone."""
        value = digest.removeprefix("sha256:")
        path = self.data / _BLOBS / value[:2] / value / "data"
        return path.stat().st_size if path.is_file() else 0

    def _repository(self, name: str) -> Path:
        return self.data / _REPOSITORIES / name

    def _content(self, digest: str) -> bytes | None:
        value = digest.removeprefix("sha256:")
        path = self.data / _BLOBS / value[:2] / value / "data"
        return path.read_bytes() if value and path.is_file() else None

    def _token(self, repository: str) -> dict[str, str]:
        if self._tokens is None:
            return {}
        return {"Authorization": f"Bearer {self._tokens.mint('test', f'repository:{repository}:pull,push')}"}

    def _listens(self) -> bool:
        host, _, port = self.host.partition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0


def _copy(source: Path, target: Path) -> None:
    """Copy a registry's disk: blobs are linked, links and tags (which are written in place) are copied."""
    shutil.copytree(source / _REPOSITORIES, target / _REPOSITORIES)
    shutil.copytree(source / _BLOBS, target / _BLOBS, copy_function=os.link)


def _htpasswd(folder: Path, accounts: Mapping[str, str]) -> Path:
    path = folder / "htpasswd"
    hashes = {name: bcrypt.hashpw(word.encode(), bcrypt.gensalt(rounds=4)) for name, word in accounts.items()}
    path.write_text("".join(f"{name}:{value.decode()}\n" for name, value in hashes.items()))
    return path
