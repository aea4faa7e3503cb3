"""Lets buildx's ``remote`` driver talk to the BuildKit inside a Docker Engine.

That driver speaks plain gRPC, or gRPC in TLS; the engine gives its BuildKit's gRPC away only behind ``POST /grpc``
with an upgrade to h2c (moby: api/server/router/grpc). This server does that handshake on docker.sock for every
connection that it takes, then passes bytes on. Each bridge counts as one node: two of them make a builder of two nodes
on one machine.

As a program: ``python tests/engine/grpc_bridge.py [SOCKET] [HOST:PORT]``; it prints the address that it listens on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import threading
from types import TracebackType

SOCKET = "/var/run/docker.sock"
_HANDSHAKE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"
_CHUNK = 1 << 16


class GrpcBridge:
    """One listening address in front of one engine; a context manager, with a thread of its own.

    Args:
        engine: path of the engine's unix socket. address: host and port to listen on; port 0 takes a free one.
        tls: certificate of the server, and what it asks of its clients; None: no TLS.
    """

    def __init__(
        self, engine: str = SOCKET, address: tuple[str, int] = ("127.0.0.1", 0), *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._engine = engine
        self._tls = tls
        if tls is not None:
            tls.set_alpn_protocols(["h2"])  # gRPC for Go refuses a server that does not agree to it
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, *address, ssl=tls))
        self.host, self.port = self._server.sockets[0].getsockname()[:2]
        self.connections = 0  # taken so far: a test can tell by it whether a node was asked
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"grpc-bridge-{self.port}", daemon=True)

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
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        else:
            self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        open_ = list(self._tasks)
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        engine: asyncio.StreamWriter | None = None
        try:
            answers, engine = await asyncio.open_unix_connection(self._engine)
            await upgrade(answers, engine)
            await asyncio.gather(_pipe(reader, engine), _pipe(answers, writer))
        except OSError as error:
            sys.stderr.write(f"grpc bridge {self.port}: {error}\n")
        except asyncio.CancelledError:
            pass  # the end; asyncio would log it as a failure of its callback
        finally:
            self._tasks.discard(task)
            for one in (writer, engine):
                if one is not None:
                    one.close()


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask an engine for the gRPC of its BuildKit.

    Raises:
        ConnectionError: it answered with anything but 101.
    """
    writer.write(_HANDSHAKE)
    await writer.drain()
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionError(f"the engine closed the connection after {error.partial[:200]!r}") from None
    status = head.split(b"\r\n")[0].split()
    if len(status) < 2 or status[1] != b"101":
        raise ConnectionError(f"the engine did not switch to gRPC: {head[:200]!r}")


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if sink.can_write_eof():
            sink.write_eof()
        else:
            sink.close()  # TLS knows no half-closed connection


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
