"""Lets buildx's ``remote`` driver talk to the BuildKit inside a Docker Engine.

That driver speaks plain gRPC; the engine gives its BuildKit's gRPC away only behind ``POST /grpc`` with an upgrade to
h2c (moby: api/server/router/grpc). This server does that handshake on docker.sock for every connection that it
takes, then passes bytes on. Each bridge counts as one node: two of them make a builder of two nodes on one machine.

As a program: ``python tests/engine/grpc_bridge.py [SOCKET] [HOST:PORT]``; it prints the address that it listens on.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from types import TracebackType

SOCKET = "/var/run/docker.sock"
_HANDSHAKE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"
_CHUNK = 1 << 16


class GrpcBridge:
    """One listening address in front of one engine; a context manager.

    Args:
        engine: path of the engine's unix socket. address: host and port to listen on; port 0 takes a free one.
    """

    def __init__(self, engine: str = SOCKET, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._engine = engine
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(address)
        self.host, self.port = self._listener.getsockname()[:2]
        self.connections = 0  # taken so far: a test can tell by it which node built
        self._thread = threading.Thread(target=self._accept, name=f"grpc-bridge-{self.port}", daemon=True)

    @property
    def endpoint(self) -> str:
        """The endpoint for ``docker buildx create --driver remote``."""
        return f"tcp://{self.host}:{self.port}"

    def __enter__(self) -> GrpcBridge:  # noqa: PYI034 - typing.Self is 3.11
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more connections, and end those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in list(self._open):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as engine:
            with self._lock:
                self._open |= {client, engine}
            try:
                engine.connect(self._engine)
                early = upgrade(engine)
                client.sendall(early)
                back = threading.Thread(target=_pipe, args=(engine, client), daemon=True)
                back.start()
                _pipe(client, engine)
                back.join()
            except (OSError, ConnectionError) as error:
                sys.stderr.write(f"grpc bridge {self.port}: {error}\n")
            finally:
                with self._lock:
                    self._open -= {client, engine}


def upgrade(engine: socket.socket) -> bytes:
    """Ask an engine for the gRPC of its BuildKit; gives the bytes that came after the answer's head.

    Raises:
        ConnectionError: it answered with anything but 101.
    """
    engine.sendall(_HANDSHAKE)
    read = b""
    while b"\r\n\r\n" not in read:
        chunk = engine.recv(_CHUNK)
        if not chunk:
            raise ConnectionError(f"the engine closed the connection after {read[:200]!r}")
        read += chunk
    head, _, rest = read.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].split()
    if len(status) < 2 or status[1] != b"101":
        raise ConnectionError(f"the engine did not switch to gRPC: {head[:200]!r}")
    return rest


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def main(arguments: list[str]) -> None:
    """Serve until the process ends."""
    engine = arguments[0] if arguments else SOCKET
    host, _, port = (arguments[1] if len(arguments) > 1 else "127.0.0.1:0").rpartition(":")
    with GrpcBridge(engine, (host, int(port))) as bridge:
        sys.stdout.write(f"{bridge.endpoint}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
