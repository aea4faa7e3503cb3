"""Small real HTTP servers on loopback that answer as a registry does."""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bake.credentials import Keyring, Login

MANIFEST = b'{"schemaVersion": 2,\n "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [] }'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
BASIC = "Basic " + base64.b64encode(b"ci:word").decode()


class Server:
    """Answers by a table, ``(method, path) -> (status, headers, body)``, and keeps what it was asked."""

    def __init__(self, answer, *, tls=None):
        self.asked: list[tuple[str, str, str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, self.headers.get("Authorization", ""), body))
                status, headers, said = answer(outer, self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(said)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(said)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do  # noqa: N815 - the names that http.server asks for

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"

    def paths(self, *methods):
        return [path for method, path, *_ in self.asked if method in methods]


@contextmanager
def serving(answer, **options):
    made = Server(answer, **options)
    threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


def keyring(server, **login):
    return Keyring({server.host: Login(**{"username": "ci", "secret": "word", "given": True, **login})})


def with_password(server, method, path, headers, body):
    if headers.get("Authorization") != BASIC:
        return 401, {"WWW-Authenticate": 'Basic realm="r"'}, b"{}"
    return plain(server, method, path, headers, body)


def plain(_server, method, path, _headers, _body):
    if path.endswith("/blobs/uploads/"):
        return 202, {"Location": "/v2/lab/x/blobs/uploads/7?state=a"}, b""
    if method == "DELETE":
        return 204, {}, b""
    if method == "PUT":
        return 201, {}, b""
    if "/manifests/" in path:
        return (
            200,
            {"Docker-Content-Digest": DIGEST, "Content-Type": "application/vnd.oci.image.manifest.v1+json"},
            MANIFEST,
        )
    return 200, {}, b"{}"
