"""A proxy before a registry that refuses large bodies with 413, as nginx does by ``client_max_body_size``."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_BLOCK = 1 << 16


@contextmanager
def limited(registry: str, limit: int, refused: list[int]) -> Iterator[str]:
    """Serve a registry on a loopback address of its own; ``refused`` collects the sizes of bodies over the limit."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            # The engine tries TLS first, and goes on to HTTP when it is answered in it, as Go's servers do.
            if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
                self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            else:
                super().handle()

        def forward(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            if length > limit:
                refused.append(length)
                for _ in self.body(length):
                    pass
                self.send_response(413)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            upstream = http.client.HTTPConnection(registry)
            upstream.request(
                self.command, self.path, body=self.body(length) if length else None, headers=dict(self.headers)
            )
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            for block in iter(lambda: answer.read(_BLOCK), b""):
                self.wfile.write(block)
            upstream.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = forward  # noqa: N815 - the names that http.server asks for

        def body(self, length: int) -> Iterator[bytes]:
            while length:
                block = self.rfile.read(min(_BLOCK, length))
                if not block:
                    return
                length -= len(block)
                yield block

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
