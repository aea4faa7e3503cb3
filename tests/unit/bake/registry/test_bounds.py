"""Answers of a registry that mean harm: endless, deep, broken off, or no manifests at all."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bake.errors import EnvironmentUnfit
from bake.reference import Reference, parse_reference
from bake.registry import Answer, Outcome, Registry, failure_of
from bake.registry.client import CONFIG_BYTES
from bake.registry.layer_sizes import layers_in
from bake.registry.transport import ANSWER_BYTES

BLOCK = b" " * (1 << 20)
DEEP = b"[" * 100_000
DIGEST = f"sha256:{'a' * 64}"
Serve = Callable[..., tuple[Registry, Reference]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A registry that answers every manifest with one body, and blobs and tokens with another."""
    servers: list[ThreadingHTTPServer] = []

    def start(manifest: bytes = b"", other: bytes = b"{}", *, blocks: int = 0, length: int | None = None,
              challenge: str = "") -> tuple[Registry, Reference]:  # fmt: skip
        class Handler(BaseHTTPRequestHandler):
            sent = 0

            def do_GET(self) -> None:
                asked = "/manifests/" in self.path
                if challenge and "/v2/" in self.path and self.path != "/v2/":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", challenge.format(self.headers["Host"]))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = manifest if asked else other
                self.send_response(200)
                if length is not None and asked:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body)
                    for _ in range(blocks if self.path != "/v2/" else 0):
                        self.wfile.write(BLOCK)
                        type(self).sent += len(BLOCK)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handler = Handler  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        host = f"127.0.0.1:{server.server_address[1]}"
        return Registry(host), parse_reference(f"{host}/lab/x:1")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_answer_without_an_end_is_left(serve: Serve) -> None:
    registry, image = serve(blocks=2000)
    answer = registry.manifest(image)
    assert answer.outcome is Outcome.ERROR
    assert "more than" in str(failure_of(answer, registry.host))
    assert len(answer.body) <= ANSWER_BYTES


def test_a_manifest_and_a_configuration_at_their_limits_are_read(serve: Serve) -> None:
    config = json.dumps({"config": {"User": "x"}}).encode()
    for size, expected in ((CONFIG_BYTES, {"config": {"User": "x"}}), (CONFIG_BYTES + 1, None)):
        named = {"digest": f"sha256:{hashlib.sha256(config.ljust(size)).hexdigest()}"}
        text = json.dumps({"layers": [], "config": named}).encode()
        registry, image = serve(text.ljust(ANSWER_BYTES), config.ljust(size))
        assert registry.manifest(image).outcome is Outcome.ANSWERS
        assert registry.image_config(image, "linux/amd64") == expected


def test_another_configuration_or_manifest_than_the_one_of_the_digest_is_none(serve: Serve) -> None:
    text = json.dumps({"layers": [], "config": {"digest": DIGEST}}).encode()
    registry, image = serve(text, b'{"config": {}}')
    assert registry.image_config(image, "linux/amd64") is None
    assert registry.manifest(image).outcome is Outcome.ANSWERS
    answer = registry.manifest(replace(image, digest=DIGEST))
    assert (answer.outcome, answer.detail) == (Outcome.ERROR, f"what it gives as {DIGEST} is something else")
    assert registry.manifest(replace(image, digest=f"sha256:{hashlib.sha256(text).hexdigest()}")).data


def test_an_answer_that_breaks_off_is_none(serve: Serve) -> None:
    registry, image = serve(b'{"layers": []}', length=1000)
    assert registry.manifest(image).outcome is not Outcome.ANSWERS


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        b'{"layers":' + DEEP,
        b"{}",
        b"null",
        b'{"layers": 1}',
        b'{"layers": [1]}',
        b'{"layers": [{"size": 1}]}',
        b'{"layers": [{"digest": "sha256:a", "size": "x"}]}',
        b'{"layers": [{"digest": "sha256:a", "size": -1}]}',
        b'{"manifests": [{"digest": 1}]}',
        b'{"manifests": [{"digest": "sha256:a", "platform": "linux"}]}',
        b'{"layers": [], "config": "x"}',
        json.dumps({"manifests": [{"digest": DIGEST}] * 1000}).encode(),
        json.dumps({"layers": [{"digest": DIGEST}] * 5000}).encode(),
    ],
)
def test_what_is_no_manifest_is_an_error_for_all_who_ask(serve: Serve, text: bytes) -> None:
    registry, image = serve(text)
    answer = registry.manifest(image)
    assert (answer.outcome, bool(answer.detail)) == (Outcome.ERROR, True)
    assert layers_in(registry, image) is None
    assert registry.image_config(image, "linux/amd64") is None
    pushed = registry.pushed(image)
    assert isinstance(pushed, Answer)
    assert (pushed.outcome, pushed.detail) == (answer.outcome, answer.detail)
    assert registry.tag(image, "2").outcome is Outcome.ERROR


def test_indexes_of_indexes_without_an_end_are_left(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bake.registry.client.held_to", lambda _digest, answer: answer)  # none can have its own digest
    registry, image = serve(json.dumps({"manifests": [{"digest": DIGEST}, {"digest": DIGEST}]}).encode())
    with pytest.raises(EnvironmentUnfit, match="more than 256 manifests"):
        layers_in(registry, image)


@pytest.mark.parametrize("token", [DEEP, b'{"token": "t", "expires_in": 1' + b"0" * 400 + b"}"])
def test_an_odd_token_answer_is_no_traceback(serve: Serve, token: bytes) -> None:
    registry, image = serve(other=token, challenge='Bearer realm="http://{}/token",service="s"')
    assert registry.manifest(image).outcome is Outcome.LOGIN
