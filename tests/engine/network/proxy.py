"""A proxy between engines and a registry: it ends TLS with the private CA, counts, and can do harm by rules.

Bodies are streamed; connections are kept alive; a registry that can't be reached looks as if this one were gone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
import time
from typing import BinaryIO

from typing_extensions import Self

from tests.engine.network import http1
from tests.engine.network.authority import Authority
from tests.engine.network.faults import Fault, Faults, Pace
from tests.engine.network.switch import Switch
from tests.engine.network.traffic import Request, Traffic

_SECONDS = 60  # without a byte: then a connection is given up
_SETTLES = 5  # seconds for requests whose client has just gone
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, as a firewall that forgot the connection does


class FaultProxy:
    """Stands before a registry at the host's end of a switch; ``host`` is what engines are told.

    Use as a context manager.

    Args:
        switch, authority: where it listens over TLS, and who signs for it. upstream: host:port of the registry.
    """

    def __init__(self, switch: Switch, authority: Authority, upstream: str) -> None:
        self._address = switch.address, switch.free_port()
        self.host = f"{self._address[0]}:{self._address[1]}"
        self.faults = Faults()
        self.failed_handshakes = 0
        self.troubles: list[str] = []  # why connections were cut
        self._server_tls = authority.server_context(switch.address)
        self._client_tls = authority.client_context()
        host, _, port = upstream.rpartition(":")
        self._upstream = host, int(port)
        self._requests: list[Request] = []
        self._open: set[socket.socket] = set()
        self._busy: set[_Counted] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Listen (again)."""
        listener = socket.create_server(self._address, backlog=64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def down(self) -> None:
        """Be gone: connections are reset, new ones refused."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections = tuple(self._open)
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):  # wakes the thread that waits for it, which resets it
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def mark(self) -> int:
        """A point in time, for ``traffic``."""
        return len(self._requests)

    def traffic(self, since: int = 0) -> Traffic:
        """Requests since a mark, those that still run waited for; bytes of uploads that were cut off count too."""
        deadline = time.monotonic() + _SETTLES
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.02)
        return Traffic(self._requests[since:])

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # down
            connection.settimeout(_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(self._server_tls.wrap_socket(connection, server_side=True))
            except OSError:
                self.failed_handshakes += 1
                connection.close()
                return
            with self._lock:
                self._open.add(client)
            stack.callback(self._open.discard, client)
            try:
                server = stack.enter_context(self._connected())
                from_client, from_server = (stack.enter_context(side.makefile("rb")) for side in (client, server))
                while self._exchange(client, from_client, server, from_server):
                    pass
            except (OSError, ValueError) as error:  # ValueError: a file that _cut closed
                self.troubles.append(str(error))
                _cut(client)

    def _connected(self) -> ssl.SSLSocket:
        connection = socket.create_connection(self._upstream, timeout=_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._client_tls.wrap_socket(connection, server_hostname=self._upstream[0])

    def _exchange(
        self, client: ssl.SSLSocket, from_client: BinaryIO, server: ssl.SSLSocket, from_server: BinaryIO
    ) -> bool:
        """Pass one request and its answer; False when the connection is over."""
        head = http1.read_head(from_client)
        if head is None:
            return False
        fault = self.faults.pick(head)
        counted = _Counted(head, fault)
        self._busy.add(counted)
        try:
            if fault is not None and fault.answer is not None:
                return _instead(fault.answer, head, client, from_client, counted)
            whole = _pass_request(head, fault, client, from_client, server, counted)
            goes_on = _pass_answer(head, fault, from_server, client, counted)
            if not whole:  # closing with unread bytes would lose the answer
                _swallow(from_client)
            return goes_on and whole
        finally:
            self._requests.append(counted.request())
            self._busy.discard(counted)


class _Counted:
    """What is known of a request so far."""

    def __init__(self, head: http1.Head, fault: Fault | None) -> None:
        self.method, self.path = head.words[:2]
        self.fault = fault.name if fault else ""
        self.status = self.received = self.sent = 0

    def request(self) -> Request:
        return Request(**vars(self))


def _instead(answer: bytes, head: http1.Head, client: ssl.SSLSocket, from_client: BinaryIO, counted: _Counted) -> bool:
    """Answer for the registry: one that closes does so at once, any other takes the body first."""
    counted.status = int(answer.split(b" ", 2)[1])
    closes = b"\r\nconnection: close\r\n" in answer
    if closes:
        client.sendall(answer)
    if head.get("expect") and not closes:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    for _, count in http1.pieces(_Sips(from_client), head):  # closing with unread bytes would lose the answer
        counted.received += count
    if not closes:
        client.sendall(answer)
    return not closes


def _pass_request(
    head: http1.Head,
    fault: Fault | None,
    client: ssl.SSLSocket,
    from_client: BinaryIO,
    server: ssl.SSLSocket,
    counted: _Counted,
) -> bool:
    """Pass a request on; False when the registry did not want all of the body: it has answered by then."""
    if head.get("expect"):
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    server.sendall(head.without("expect").encoded())
    pace = Pace(fault.rate if fault else None)
    call = fault.call if fault else None
    for piece, count in http1.pieces(_Sips(from_client) if fault else from_client, head):
        counted.received += count
        if fault is not None and fault.cut_after is not None and counted.received >= fault.cut_after:
            raise ConnectionResetError(fault.name)
        try:
            server.sendall(piece)
        except OSError:
            return False
        pace.passed(count)
        if call is not None and fault is not None and counted.received >= fault.call_after:
            call()
            call = None
    return True


def _swallow(stream: BinaryIO) -> None:
    while stream.read(http1.CHUNK):
        pass


def _pass_answer(
    head: http1.Head, fault: Fault | None, from_server: BinaryIO, client: ssl.SSLSocket, counted: _Counted
) -> bool:
    while True:
        answer = http1.read_head(from_server)
        if answer is None:
            raise ConnectionResetError("the registry closed the connection")
        counted.status = int(answer.words[1])
        if counted.status >= 200:
            break
    client.sendall(answer.encoded())
    if counted.method == "HEAD" or counted.status in {204, 304}:
        return not (answer.closes or head.closes)
    endless = not answer.chunked and not answer.get("content-length")
    pace = Pace(fault.rate if fault else None)
    for piece, count in http1.pieces(from_server, answer, until_close=True):
        client.sendall(piece)
        counted.sent += count
        pace.passed(count)
        if fault is not None and fault.cut_answer_after is not None and counted.sent >= fault.cut_answer_after:
            raise ConnectionResetError(fault.name)
    return not (endless or answer.closes or head.closes)


class _Sips:
    """Reads in small pieces, so that a fault strikes where it should."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(min(size, 16 * 1024))

    def readline(self, size: int = -1, /) -> bytes:
        return self._stream.readline(size)


def _cut(connection: socket.socket) -> None:
    """Reset a connection: what was sent and not read is lost."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    descriptor = connection.detach()
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.close(descriptor)
