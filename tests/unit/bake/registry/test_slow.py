"""Answers that trickle in: a byte now and then keeps a connection alive for ever, and no answer may."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bake.reference import parse_reference
from bake.registry import Outcome, Registry, failure_of, transport
from tests.certificates import self_signed, server_context

PAUSE, LONG = 0.05, 60  # seconds between two bytes; how many come before the server goes away
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
Serve = Callable[..., str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """A server that answers at once with what it is given, and then a space now and then."""
    monkeypatch.setattr(transport, "_SLOWEST", 1 << 40, raising=False)  # what is left is the seconds of silence
    over = threading.Event()
    listeners: list[socket.socket] = []

    def answer(peer: socket.socket, start: bytes, context: ssl.SSLContext | None) -> None:
        with suppress(OSError):
            peer = context.wrap_socket(peer, server_side=True) if context else peer
            peer.recv(10_000)
            peer.sendall(start)
            for _ in range(LONG):
                if over.wait(PAUSE):
                    break
                peer.sendall(b" ")
        peer.close()

    def accept(listener: socket.socket, start: bytes, context: ssl.SSLContext | None) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0], start, context), daemon=True).start()

    def start(text: bytes, context: ssl.SSLContext | None = None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, text, context), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    over.set()
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("text", [HEAD, b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_trickles_in_is_left(serve: Serve, text: bytes) -> None:
    host = serve(text)
    send = transport.Transport(host, ca_bundle=None, timeout=4 * PAUSE, insecure=False).send
    answer = send("GET", f"http://{host}/v2/")
    assert (answer.outcome, answer.detail) == (Outcome.TIMEOUT, "its answer trickles in")
    assert "does not answer in time (its answer trickles in)" in str(failure_of(answer, host))


def test_over_tls_too(serve: Serve, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    host = serve(HEAD, server_context(certificate, key))
    registry = Registry(host, ca_bundle=certificate, insecure=False, timeout=4 * PAUSE)
    assert registry.manifest(parse_reference(f"{host}/lab/x:1")).detail == "its answer trickles in"


def test_a_redirect_begins_no_new_time(serve: Serve) -> None:
    slow = serve(HEAD)
    host = serve(f"HTTP/1.1 302 Found\r\nLocation: http://{slow}/\r\nContent-Length: 0\r\n\r\n".encode())
    send = transport.Transport(host, ca_bundle=None, timeout=4 * PAUSE, insecure=False).send
    assert send("GET", f"http://{host}/v2/").outcome is Outcome.TIMEOUT
