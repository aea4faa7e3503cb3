"""A package index on this machine: the one that pip asks, each page and file fetched once; it cuts connections.

A page's links lead back here, with scheme and host as the first folders of their paths.
"""

from __future__ import annotations

import os
import random
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import requests
from pip._internal.models.index import PyPI
from typing_extensions import Self

from tests.engine.network.authority import Authority
from tests.engine.network.switch import Switch

UPSTREAM = os.environ.get("PIP_INDEX_URL") or PyPI.simple_url
_LINK = re.compile(rb'(?<=href=")(https?)://')
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class Index:
    """Listens at the host's end of a switch, over TLS; a context manager.

    Args:
        kept: a folder for what was fetched. ``harm``: how likely a request's answer breaks off, from 0 to 1.
    """

    def __init__(self, switch: Switch, authority: Authority, kept: Path, chance: random.Random) -> None:
        self.harm = 0.0
        self._kept, self._chance, self._lock = kept, chance, threading.Lock()
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index.answer(self)

            do_HEAD = do_GET  # noqa: N815 - http.server names it

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((switch.address, 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = authority.server_context(switch.address).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.address = f"https://{switch.address}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def mirrors(self) -> str:
        """The table of a site file that has builds come here."""
        return f'[mirrors]\npypi = "{self.address}/simple"\n'

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request, with less than all of it where harm is done."""
        part, _, rest = request.path.strip("/").partition("/")
        address = f"{UPSTREAM.rstrip('/')}/{rest}/" if part == "simple" else rest.replace("/", "://", 1)
        content = self._fetched(address)
        request.send_response(404 if content is None else 200)
        content = content or b""
        request.send_header("Content-Type", "text/html" if part == "simple" else "application/octet-stream")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "HEAD":
            return
        if self._chance.random() < self.harm:
            request.wfile.write(content[: self._chance.randrange(len(content) + 1)])
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            request.close_connection = True
            request.connection.close()
            return
        request.wfile.write(content)

    def _fetched(self, address: str) -> bytes | None:
        file = self._kept / quote(address, safe="")[-200:]
        with self._lock:
            if not file.exists():
                got = requests.get(address, headers={"Accept": "text/html"}, timeout=120)
                if not got.ok:
                    return None
                here = f"{self.address}/files/".encode()
                file.write_bytes(_LINK.sub(here + rb"\1/", got.content) if address.endswith("/") else got.content)
            return file.read_bytes()
