"""A bridge for buildx's ``remote`` driver: TCP in, the BuildKit inside a Docker Engine out.

BuildKit listens on no port there: the engine gives its control interface to whom upgrades ``POST /grpc`` on its socket
(the ``docker`` driver of buildx does the same). The bridge does that for each connection and passes bytes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from typing_extensions import Self

_UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"


class GrpcBridge:
    """Listens on a free loopback port; ``endpoint`` is for ``docker buildx create --driver remote ENDPOINT``.

    Use as a context manager.

    Args:
        engine: the engine's socket.
    """

    def __init__(self, engine: Path) -> None:
        self._engine = engine
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self._engine))
            server.sendall(_UPGRADE)
            if b" 101 " not in _head(server).split(b"\r\n")[0]:
                return
            self.connections += 1
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _head(server: socket.socket) -> bytes:
    """Read up to the empty line and not a byte more: what follows is HTTP/2."""
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        piece = server.recv(1)
        if not piece:
            raise ConnectionError("the engine closed the connection")
        read += piece
    return read


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(256 * 1024):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
