"""Sources behind a proxy that tunnels (CONNECT), with certificates of a private CA."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bake.assets import fetch
from bake.assets.transfer import open_session
from bake.errors import EnvironmentUnfit
from tests.certificates import self_signed, server_context


class Tunnel(BaseHTTPRequestHandler):
    """Passes bytes on, or answers a byte now and then."""

    trickles = False
    asked: list[str]

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        self.close_connection = True
        if self.trickles:
            with suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b" " * 100:
                    self.connection.sendall(bytes((byte,)))
                    threading.Event().wait(0.05)
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self._pump, args=(there, self.connection), daemon=True)
            back.start()
            self._pump(self.connection, there)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch, tmp_path):
    """Start a proxy that is the environment's; gives its handler."""
    handler = type("OneTunnel", (Tunnel,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_address[1]}")
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_private_ca_is_trusted_through_a_proxy(proxy, sources, asked_for, store, heard, tmp_path, content):
    certificate, key = self_signed(tmp_path)
    source = sources(tls=server_context(certificate, key))
    with open_session(certificate) as session:
        fetched = fetch(asked_for(source), store, heard, session=session, pause=0.01)
    assert fetched.path.read_bytes() == content
    assert proxy.asked == [source.url.split("/")[2]]


@pytest.mark.parametrize("who", ["proxy", "source"])
def test_neither_proxy_nor_source_may_trickle_in_for_ever(
    proxy, sources, asked_for, store, heard, tmp_path, monkeypatch, who
):
    monkeypatch.setattr("bake.assets.transfer._ANSWER", 0.3)
    certificate, key = self_signed(tmp_path)
    source = sources(tls=server_context(certificate, key), trickles=0.05 if who == "source" else 0)
    proxy.trickles = who == "proxy"
    with open_session(certificate) as session, pytest.raises(EnvironmentUnfit, match="trickles in"):
        fetch(asked_for(source), store, heard, session=session, pause=0.01)
