"""Layers of the base against the registry's limit: a real HTTP server stands for both registries."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bake.doctor import Severity, Subject, layers
from bake.doctor.finding import Engine
from bake.reference import parse_reference
from bake.registry import Registry
from bake.registry.layer_sizes import layers_in, listed, too_large

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
MANIFESTS = {
    "1": {"layers": [{"digest": A, "size": 5000}, {"digest": B, "size": 10}]},
    "index": {"manifests": [{"digest": A}, {"digest": C}]},
    A: {"layers": [{"digest": A, "size": 5000}]},
    C: {"layers": [{"digest": B, "size": 10}, {"digest": C, "size": 7000}]},
}


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documents here have short names in the place of digests; test_bounds.py has what is held against them."""
    monkeypatch.setattr("bake.registry.client.held_to", lambda _digest, answer: answer)


@contextmanager
def served(*, held=(), blobs=200):
    """A registry with images of layers A (5 kB), B (10 B), C (7 kB), and a repository ``lab/image`` that holds some."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            kind, name = self.path.split("/")[-2:]
            if kind == "blobs":
                status = blobs if blobs != 200 else 200 if name in held else 404
            else:
                status = 200 if name in MANIFESTS else 404
            body = json.dumps(MANIFESTS.get(name, {})).encode() if self.command == "GET" else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server asks for

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_layers_of_all_platforms_are_read():
    with served() as port:
        registry = Registry(f"127.0.0.1:{port}")
        assert layers_in(registry, parse_reference(f"127.0.0.1:{port}/base:1")) == {A: 5000, B: 10}
        assert layers_in(registry, parse_reference(f"127.0.0.1:{port}/base:index")) == {A: 5000, B: 10, C: 7000}
        assert layers_in(registry, parse_reference(f"127.0.0.1:{port}/base:none")) is None


def test_layers_at_the_limit_fit_and_the_largest_is_named_first():
    large = too_large({A: 5000, B: 10, C: 7000}, 5000)
    assert large == {C: 7000}
    assert listed(too_large({A: 5000, C: 7000}, 4999)) == f"{C[:19]} (7.0 kB), {A[:19]} (5.0 kB)"


@pytest.fixture
def finding(monkeypatch):
    """Run the check on ``base:1`` of one registry for the target ``lab/image`` of another, or of the same."""

    def run(*, limit, on_engine=(), held=(), blobs=200, same=False, target=True, base="1"):
        monkeypatch.setattr(Engine, "client", None)  # only handed on
        monkeypatch.setattr(layers, "layers_on", lambda _client, _image: on_engine)
        with served(held=held, blobs=blobs) as port:
            host = f"{'127.0.0.1' if same else 'localhost'}:{port}"
            subject = Subject(
                base=f"127.0.0.1:{port}/base:{base}",
                image=f"{host}/lab/image:1" if target else None,
                layer_limit=limit,
            )
            found = list(layers.check(subject, Engine(subject)))
        return found[0] if found else None

    return run


@pytest.mark.parametrize(
    ("case", "severity", "said"),
    [
        ({"limit": 5000}, "ok", "compressed"),
        ({"limit": 4000, "on_engine": (3000, 4000)}, "ok", "no layer of"),
        ({"limit": 5000, "on_engine": (9000,)}, "ok", "compressed"),
        ({"limit": 4000}, "error", f"does not have them: {A[:19]} (5.0 kB)"),
        ({"limit": 4000, "held": (A,)}, "ok", "has them"),
        ({"limit": 4000, "same": True}, "ok", "has them"),
        ({"limit": 4000, "blobs": 401}, "warning", "does not tell"),
        ({"limit": 4000, "target": False}, "warning", "can't be split"),
        ({"limit": 4000, "base": "none", "on_engine": (9000,)}, "warning", "has 9.0 kB uncompressed"),
        ({"limit": 4000, "base": "none"}, "warning", "is not known"),
    ],
)
def test_what_is_said_of_the_base(finding, case, severity, said):
    found = finding(**case)
    assert found.severity is Severity(severity)
    assert said in found.message
    assert bool(found.remediation) == (severity != "ok")


def test_without_a_limit_nothing_is_asked(finding):
    assert finding(limit=0) is None
