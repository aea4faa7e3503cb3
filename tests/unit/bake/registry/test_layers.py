"""Sizes of an image's last layers, from a registry on loopback and from what an engine's history says."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bake.reference import parse_reference
from bake.registry import Registry
from bake.registry.layers import in_registry

IMAGE = {"layers": [{"digest": f"sha256:{size}", "size": size} for size in (100, 20, 3)]}
INDEX = {
    "manifests": [
        {"digest": f"sha256:{'a' * 64}", "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": f"sha256:{'b' * 64}", "platform": {"os": "linux", "architecture": "amd64"}},
    ]
}
DOCUMENTS = {"1": IMAGE, "index": INDEX, f"sha256:{'a' * 64}": {"layers": []}, f"sha256:{'b' * 64}": IMAGE}


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documents here have short names in the place of digests; test_bounds.py has what is held against them."""
    monkeypatch.setattr("bake.registry.client.held_to", lambda _digest, answer: answer)


@pytest.fixture
def host():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            known = name in DOCUMENTS or self.path == "/v2/"
            body = json.dumps(DOCUMENTS.get(name, {})).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("tag", ["1", "index"])
def test_the_last_layers_of_an_image_and_of_an_index(host, tag):
    assert in_registry(Registry(host), parse_reference(f"{host}/lab/x:{tag}"), 2) == (20, 3)


def test_an_image_with_fewer_layers_is_not_the_one_that_was_made(host):
    assert in_registry(Registry(host), parse_reference(f"{host}/lab/x:1"), 4) is None


def test_an_image_that_is_not_there(host):
    assert in_registry(Registry(host), parse_reference(f"{host}/lab/x:absent"), 1) is None
