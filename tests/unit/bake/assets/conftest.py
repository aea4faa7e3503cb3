"""A real HTTP server on loopback that serves one file, and misbehaves as a test asks it to."""

from __future__ import annotations

import hashlib
import random
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bake.assets import Request, Store, fetch
from bake.assets.transfer import open_session

CONTENT = random.Random(904).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Source:
    """How the server behaves, and what it was asked.

    Args:
        ranges, if_range: whether it honours them. cut: cuts the connection after so many bytes of a body, that many
            times. slow: seconds before each block. trickles: seconds between two bytes of the head. statuses:
            answered first, one for each request.
    """

    content: bytes = CONTENT
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    if_range: bool = True
    length: bool = True
    cut: int | None = None
    cuts: int = 1
    slow: float = 0
    trickles: float = 0
    statuses: list[int] = field(default_factory=list)
    login: str = ""
    moved: str = ""
    tls: ssl.SSLContext | None = None
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    def ranges_asked(self) -> list[str]:
        return [headers.get("Range", "") for headers in self.asked]


class Handler(BaseHTTPRequestHandler):
    source: Source

    def do_GET(self) -> None:
        source = self.source
        source.asked.append(dict(self.headers))
        if source.trickles:
            self._trickle()
            return
        if source.moved:
            self.send_response(302)
            self.send_header("Location", source.moved)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if source.statuses:
            self.send_response(source.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if source.login and self.headers.get("Authorization") != source.login:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = self.first_byte()
        if first > len(source.content) or (first and first == len(source.content)):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(source.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        if first:
            last = len(source.content) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(source.content)}")
        if source.etag:
            self.send_header("ETag", source.etag)
        if source.modified:
            self.send_header("Last-Modified", source.modified)
        if source.length:
            self.send_header("Content-Length", str(len(source.content) - first))
        self.end_headers()
        self.send_body(source.content[first:])

    def first_byte(self) -> int:
        source, wanted = self.source, self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if not source.ranges or not wanted:
            return 0
        if source.if_range and condition is not None and condition not in (source.etag, source.modified):
            return 0
        return int(wanted.removeprefix("bytes=").rstrip("-"))

    def send_body(self, body: bytes) -> None:
        source, block = self.source, 65536
        for at in range(0, len(body), block):
            if source.slow:
                threading.Event().wait(source.slow)
            piece = body[at : at + block]
            if source.cut is not None and source.cuts and at + len(piece) > source.cut:
                source.cuts -= 1
                self.close_connection = True
                self.connection.close()
                return
            try:
                self.wfile.write(piece)
            except OSError:
                return
            source.sent += len(piece)

    def _trickle(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(100):
                threading.Event().wait(self.source.trickles)
                self.wfile.write(b" ")

    def log_message(self, *_: Any) -> None:
        pass

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()


@contextmanager
def serve(source: Source) -> Iterator[Source]:
    handler = type("OneSource", (Handler,), {"source": source})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if source.tls is not None:
        server.socket = source.tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if source.tls else "http"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    source.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/files/tool.run"
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def sources():
    """Start servers: ``sources(cut=…)`` gives one that behaves so."""

    def start(**behaviour) -> Source:
        return opened.enter_context(serve(Source(**behaviour)))

    with ExitStack() as opened:
        yield start


@dataclass
class Heard:
    """Remembers what a fetch said; interrupts it, as Ctrl-C does, after ``stop`` bytes."""

    stop: int | None = None
    lines: list[str] = field(default_factory=list)
    starts: list[tuple[str, int, int | None]] = field(default_factory=list)
    bytes: int = 0

    def began(self, _request: Request, url: str, there: int, total: int | None) -> None:
        self.starts.append((url, there, total))

    def came(self, count: int) -> None:
        self.bytes += count
        if self.stop is not None and self.bytes >= self.stop:
            self.stop = None
            raise KeyboardInterrupt

    def said(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "assets")


@pytest.fixture
def session(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with open_session(None) as opened:
        yield opened


@pytest.fixture
def asked_for():
    """Make a request for the file of one or more sources."""

    def make(*sources: Source, sha256: str | None = SHA256, size: int | None = None) -> Request:
        urls = tuple(source.url for source in sources)
        return Request(name="tool", url=urls[0], file="tool.run", sources=urls, sha256=sha256, size=size)

    return make


@pytest.fixture
def content():
    return CONTENT


@pytest.fixture
def get(store, heard, session):
    def run(request, **options):
        return fetch(request, store, heard, session=session, pause=0.01, **options)

    return run


def names(store):
    return sorted(path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file())
