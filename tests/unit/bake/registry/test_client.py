"""The registry probe against small real HTTP servers on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bake.doctor import Severity, Subject, run_checks
from bake.errors import EnvironmentUnfit
from bake.reference import parse_reference
from bake.registry import TEXTS, Answer, Outcome, Pushed, Registry

DIGEST = f"sha256:{'1' * 64}"
INDEX = {"manifests": [{"digest": "sha256:m1"}, {"digest": "sha256:m2"}]}
MANIFESTS = {
    "sha256:m1": {"config": {"digest": "sha256:c1"}, "layers": [{"digest": "sha256:l1"}, {"digest": "sha256:l2"}]},
    "sha256:m2": {"config": {"digest": "sha256:c2"}, "layers": [{"digest": "sha256:l1"}]},
}
BLOBS = {"sha256:c1": 10, "sha256:c2": 20, "sha256:l1": 3000, "sha256:l2": 400}


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documents here have short names in the place of digests; test_bounds.py has what is held against them."""
    monkeypatch.setattr("bake.registry.client.held_to", lambda _digest, answer: answer)


@contextmanager
def served(status=200, *, challenge="", blobs=BLOBS, host="127.0.0.1", tls=None, digest=DIGEST):
    """A registry that answers everything with a status, or properly with 200; ``digest``: what it names for all."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            port = server.server_address[1]
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/token"):
                self.answer(200, b'{"token": "t"}')
            elif challenge and self.headers.get("Authorization") != "Bearer t":
                header = challenge.format(port=port)
                self.answer(401, b"{}", {"WWW-Authenticate": header})
            elif status != 200:
                self.answer(status, b"{}")
            elif "/blobs/" in self.path:
                self.answer(200 if name in blobs else 404, b"x" * blobs.get(name, 0))
            elif "/manifests/" in self.path:
                self.answer(200, json.dumps(MANIFESTS.get(name, INDEX)).encode(), {"Docker-Content-Digest": digest})
            else:
                self.answer(200, b"{}")

        do_HEAD = do_GET  # noqa: N815 - the name that http.server asks for

        def answer(self, code, body, headers=None):
            self.send_response(code)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, Outcome.ANSWERS), (401, Outcome.LOGIN), (403, Outcome.FORBIDDEN), (404, Outcome.ABSENT),
     (500, Outcome.ERROR), (429, Outcome.ERROR), (599, Outcome.ERROR)],
)  # fmt: skip
def test_answers(status, outcome):
    with served(status) as host:
        answer = Registry(host).probe()
    assert (answer.outcome, answer.status) == (outcome, status)


def test_refused_connection():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert Registry(f"127.0.0.1:{free.getsockname()[1]}").probe().outcome is Outcome.REFUSED


def test_unknown_name():
    assert Registry("registry.invalid").probe().outcome is Outcome.NAME


def test_no_answer_in_time():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        assert Registry(host, timeout=0.2).probe().outcome is Outcome.TIMEOUT


def test_plain_http_where_tls_is_needed():
    with served() as host:
        assert Registry(host, insecure=False).probe().outcome is Outcome.TLS


def test_a_token_for_anyone_is_fetched():
    with served(challenge='Bearer realm="http://127.0.0.1:{port}/token",service="s",scope="x"') as host:
        assert Registry(host).probe().outcome is Outcome.ANSWERS


@pytest.mark.parametrize("challenge", ['Basic realm="r"', 'Bearer realm="file:///etc/passwd"'])
def test_no_token_no_answer(challenge):
    with served(challenge=challenge) as host:
        assert Registry(host).probe().outcome is Outcome.LOGIN


def test_a_complete_push_is_proven_by_its_bytes():
    with served() as host:
        pushed = Registry(host).pushed(parse_reference(f"{host}/team/image:1"))
    assert pushed == Pushed(digest=DIGEST, blobs=BLOBS)
    assert pushed.complete
    assert pushed.size == 3430


@pytest.mark.parametrize("digest", ["sha256:1", f"{DIGEST},push=true", f"{DIGEST}@x", "../../etc/passwd", "1" * 5000])
def test_a_digest_that_is_none_is_an_error_for_all_who_ask(digest):
    with served(digest=digest) as host:
        registry, image = Registry(host), parse_reference(f"{host}/team/image:1")
        assert registry.manifest(image).outcome is Outcome.ERROR
        assert isinstance(registry.pushed(image), Answer)
        with pytest.raises(EnvironmentUnfit, match="what it names as the digest is none"):
            registry.digest_of(image)


def test_a_missing_layer_is_seen():
    with served(blobs={key: value for key, value in BLOBS.items() if key != "sha256:l2"}) as host:
        pushed = Registry(host).pushed(parse_reference(f"{host}/team/image:1"))
    assert isinstance(pushed, Pushed)
    assert not pushed.complete
    assert pushed.blobs["sha256:l2"] is None


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_bundle_that_is_none(tmp_path, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(EnvironmentUnfit, match="CA bundle") as caught:
        Registry("r.example", ca_bundle=bundle)
    assert caught.value.where == str(bundle)


def test_an_absent_image_is_an_answer():
    with served(404) as host:
        answer = Registry(host).pushed(parse_reference(f"{host}/team/image:1"))
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.ABSENT


@pytest.mark.parametrize(("status", "severity"), [(200, "ok"), (401, "warning"), (403, "error"), (404, "error")])
def test_what_doctor_says_of_it(status, severity):
    with served(status) as host:
        (finding,) = run_checks(Subject(registry=f"http://{host}/team"), only=frozenset({"registry"}))
    assert finding.severity is Severity(severity)
    assert host in finding.message
    assert bool(finding.remediation) == (severity != "ok")


def test_every_bad_outcome_has_a_text():
    assert set(TEXTS) == set(Outcome) - {Outcome.ANSWERS}
