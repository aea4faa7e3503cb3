"""A registry with a password on loopback, and a gate before it that counts requests and does harm by rules."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bcrypt

# Another word for each run, so that a search for it finds no other run's.
USER, PASSWORD = "writer", f"canary-{uuid.uuid4().hex}"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
_CHUNK = 1 << 16


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class PasswordRegistry:
    """Debian's docker-registry with one account; a context manager. It may be stopped and started in between."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("docker-registry") or shutil.which("registry")
        assert program is not None, "docker-registry is not installed: `make registry` installs it"
        self.folder, self.address, self._program = folder, f"127.0.0.1:{free_port()}", program
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()  # registries take no other hash
        (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
        (folder / "config.yml").write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
            f"http: {{addr: {self.address}}}\nauth: {{htpasswd: {{realm: lab, path: {folder}/htpasswd}}}}\n"
        )

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "serve", str(self.folder / "config.yml")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        host, _, port = self.address.partition(":")
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def __enter__(self) -> PasswordRegistry:  # noqa: PYI034 - typing.Self is 3.11
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def tags(self, repository: str) -> dict[str, str]:
        """Tags of a repository, with the digests that they name."""
        folder = self.folder / "data/docker/registry/v2/repositories" / repository / "_manifests/tags"
        return {path.parent.parent.name: path.read_text() for path in folder.glob("*/current/link")}

    def blobs(self) -> list[Path]:
        return sorted((self.folder / "data/docker/registry/v2/blobs").rglob("data"))


@dataclass(kw_only=True)
class Rule:
    """What befalls requests that fit: an answer instead (status, headers), or a reset in the middle of the body."""

    method: str = "POST|PUT|PATCH"
    path: str = "/blobs/uploads/"
    times: int = 1
    skip: int = 0
    over: int = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    call: Callable[[], None] | None = None

    def befalls(self, method: str, path: str, length: int) -> bool:
        if not re.fullmatch(self.method, method) or not re.search(self.path, path) or length < self.over:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    status: int
    received: int


class Gate:
    """Stands before a registry on loopback, in plain HTTP; a context manager."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.rules, self.seen = upstream, list[Rule](), list[Seen]()
        handler = type("Handler", (_Handler,), {"gate": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Gate:  # noqa: PYI034 - the same
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sent(self) -> int:
        """Bytes of blobs that came in."""
        return sum(entry.received for entry in self.seen if "/blobs/uploads/" in entry.path)


class _Handler(BaseHTTPRequestHandler):
    gate: Gate
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that went away
            super().handle()

    def handle_one_request(self) -> None:
        # Docker tries TLS first, and goes on without it only where the answer begins as HTTP does.
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        rule = next((rule for rule in self.gate.rules if rule.befalls(self.command, self.path, length)), None)
        status = received = 0
        try:
            if rule is not None and rule.call is not None:
                rule.call()
            elif rule is not None and rule.status is not None:
                received = len(self.rfile.read(length))
                status = rule.status
                self._answer(rule.status, rule.headers, b"")
                return
            elif rule is not None:
                received = len(self.rfile.read(length // 2))
                self._reset()
                return
            received, status = self._forward(length)
        finally:
            self.gate.seen.append(Seen(self.command, self.path, status, received))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the names that http.server wants

    def _forward(self, length: int) -> tuple[int, int]:
        server = http.client.HTTPConnection(self.gate.upstream, timeout=30)
        try:
            body = self._body(length)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
            headers["Content-Length"] = str(len(body))
            server.request(self.command, self.path, body=body, headers=headers)
            answer = server.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
        except OSError:
            self._reset()
            return 0, 0
        finally:
            server.close()
        return len(body), answer.status

    def _body(self, length: int) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(length)
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass
