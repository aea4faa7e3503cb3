"""The registry client's logins and writes, against small real HTTP servers on loopback."""

# ruff: noqa: ARG001 - answers share one signature

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from bake.credentials import Keyring, Login
from bake.doctor import Severity, Subject, run_checks
from bake.errors import EnvironmentUnfit
from bake.reference import parse_reference
from bake.registry import Outcome, Registry

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


def test_a_password_is_sent_only_when_it_is_asked_for():
    with serving(with_password) as server:
        registry = Registry(server.host, keyring=keyring(server))
        assert registry.probe().outcome is Outcome.ANSWERS
        assert registry.probe().outcome is Outcome.ANSWERS
        sent = [authorization for *_, authorization, _ in server.asked]
    # The first two find out that http is spoken and that a login is wanted.
    assert sent == ["", "", BASIC, BASIC]


def test_a_wrong_password_is_sent_once():
    with serving(with_password) as server:
        registry = Registry(server.host, keyring=keyring(server, secret="other"))
        assert registry.probe().outcome is Outcome.LOGIN
        assert len([True for *_, authorization, _ in server.asked if authorization]) == 1


def token_server(lifetime=300, *, wanted=BASIC):
    """Hands out t1, t2… to whoever logs in, each for the scope that was asked for."""
    granted: dict[str, str] = {}

    def answer(server, method, path, headers, body):
        if path.startswith("/token"):
            query = parse_qs(urlsplit(path).query or body.decode())
            if wanted and headers.get("Authorization") != wanted:
                return 401, {}, b"{}"
            token = f"t{len(granted) + 1}"
            granted[f"Bearer {token}"] = " ".join(query.get("scope", ["none"]))
            return 200, {}, json.dumps({"token": token, "expires_in": lifetime}).encode()
        need = "none" if path == "/v2/" else f"repository:lab/x:{'pull' if method in ('GET', 'HEAD') else 'pull,push'}"
        if granted.get(headers.get("Authorization", "")) != need:
            scope = "" if need == "none" else f',scope="{need}"'
            challenge = f'Bearer realm="http://{server.host}/token",service="s"{scope}'
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        return plain(server, method, path, headers, body)

    return answer


def test_tokens_are_fetched_for_each_purpose_and_kept():
    with serving(token_server()) as server:
        registry = Registry(server.host, keyring=keyring(server))
        image = parse_reference(f"{server.host}/lab/x:1")
        for _ in range(2):
            assert registry.probe().outcome is Outcome.ANSWERS
            assert registry.digest_of(image) == DIGEST
            assert registry.may_push("lab/x").outcome is Outcome.ANSWERS
        asked = [parse_qs(urlsplit(path).query) for path in server.paths("GET") if path.startswith("/token")]
    assert [query.get("scope") for query in asked] == [
        None,
        ["repository:lab/x:pull"],
        ["repository:lab/x:pull,push"],
    ]
    assert {(*query["service"], *query["account"]) for query in asked} == {("s", "ci")}


def test_a_token_that_expired_is_fetched_again(monkeypatch):
    with serving(token_server(lifetime=60)) as server:
        registry = Registry(server.host, keyring=keyring(server))
        assert registry.probe().outcome is Outcome.ANSWERS

        later = time.monotonic() + 61
        monkeypatch.setattr("bake.registry.authorization.time.monotonic", lambda: later)
        assert registry.probe().outcome is Outcome.ANSWERS
        assert len([path for path in server.paths("GET") if path.startswith("/token")]) == 2


def test_an_identity_token_is_exchanged_without_a_password():
    with serving(token_server(wanted="")) as server:
        registry = Registry(server.host, keyring=keyring(server, username="<token>", secret="refresh"))
        assert registry.probe().outcome is Outcome.ANSWERS
        ((_, _, authorization, body),) = [row for row in server.asked if row[0] == "POST"]
    assert authorization == ""
    assert parse_qs(body.decode())["refresh_token"] == ["refresh"]
    assert parse_qs(body.decode())["grant_type"] == ["refresh_token"]


def test_a_login_goes_to_no_token_server_without_tls_when_the_registry_has_it(authority):
    def answer(server, method, path, headers, body):
        challenge = f'Bearer realm="http://{tokens.host}/token",service="s"'
        return 401, {"WWW-Authenticate": challenge}, b"{}"

    with serving(token_server(wanted="")) as tokens, serving(answer, tls=authority) as server:
        registry = Registry(server.host, keyring=keyring(server), ca_bundle=authority[0], insecure=False)
        registry.probe()
        assert [row[2] for row in tokens.asked] == [""]


def test_a_redirect_takes_no_login_along():
    with serving(plain) as other:

        def answer(server, method, path, headers, body):
            if headers.get("Authorization") != BASIC:
                return 401, {"WWW-Authenticate": 'Basic realm="r"'}, b"{}"
            return 307, {"Location": f"http://{other.host}{path}"}, b""

        with serving(answer) as server:
            registry = Registry(server.host, keyring=keyring(server))
            assert registry.digest_of(parse_reference(f"{server.host}/lab/x:1")) == DIGEST
        # A HEAD stays one: a blob that lies elsewhere is not downloaded.
        assert [(method, authorization) for method, _, authorization, _ in other.asked] == [("HEAD", "")]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_challenge_of_another_server_gets_no_login(scheme):
    def foreign(server, _method, path, _headers, _body):
        if path.startswith("/token"):
            return 200, {}, b'{"token": "t"}'
        return 401, {"WWW-Authenticate": f'{scheme} realm="http://{server.host}/token",service="s"'}, b"{}"

    def moves(_server, _method, path, _headers, _body):
        return 307, {"Location": f"http://{other.host}{path}"}, b""

    with serving(foreign) as other, serving(moves) as server:
        registry = Registry(server.host, keyring=keyring(server))
        assert registry.manifest(parse_reference(f"{server.host}/lab/x:1")).outcome is Outcome.LOGIN
        assert {authorization for *_, authorization, _ in (*server.asked, *other.asked)} == {""}
        assert not [path for path in other.paths("GET") if path.startswith("/token")]


def test_an_upload_of_another_server_is_not_cancelled_with_our_login():
    def begun(*_):
        return 202, {"Location": "/v2/lab/x/blobs/uploads/7"}, b""

    def moves(server, method, path, headers, body):
        if headers.get("Authorization") != BASIC:
            return 401, {"WWW-Authenticate": 'Basic realm="r"'}, b"{}"
        if method == "POST":
            return 303, {"Location": f"http://{other.host}{path}"}, b""
        return plain(server, method, path, headers, body)

    with serving(begun) as other, serving(moves) as server:
        Registry(server.host, keyring=keyring(server)).may_push("lab/x")
        assert {authorization for *_, authorization, _ in other.asked} == {""}
        assert other.paths("DELETE") == server.paths("DELETE") == []


def test_a_redirect_that_leads_nowhere_is_an_answer():
    def answer(_server, _method, _path, _headers, _body):
        return 307, {"Location": "http://127.0.0.1:port/"}, b""

    with serving(answer) as server:
        assert Registry(server.host).probe().outcome is Outcome.UNREACHABLE


def test_a_started_upload_is_cancelled():
    with serving(with_password) as server:
        assert Registry(server.host, keyring=keyring(server)).may_push("lab/x").status == 202
        assert server.paths("DELETE") == ["/v2/lab/x/blobs/uploads/7?state=a"]


def mounting(status):
    def answer(server, method, path, headers, body):
        if method == "HEAD" and path.endswith("/blobs/sha256:b"):
            return 404, {}, b""
        if method == "POST":
            return status, {"Location": "/v2/lab/x/blobs/uploads/7?state=a"}, b""
        return plain(server, method, path, headers, body)

    return answer


@pytest.mark.parametrize(("status", "cancelled"), [(201, []), (202, ["/v2/lab/x/blobs/uploads/7?state=a"]), (403, [])])
def test_a_blob_is_mounted_or_nothing_of_it_is_left(status, cancelled):
    with serving(mounting(status)) as server:
        registry = Registry(server.host, keyring=keyring(server))
        assert registry.mount("lab/x", "sha256:b", "hub/base") is (status == 201)
        assert server.paths("POST") == ["/v2/lab/x/blobs/uploads/?mount=sha256:b&from=hub/base"]
        assert server.paths("DELETE") == cancelled


def test_a_blob_that_is_there_is_not_mounted():
    with serving(with_password) as server:
        assert Registry(server.host, keyring=keyring(server)).mount("lab/x", "sha256:a", "hub/base")
        assert server.paths("POST") == []


def test_a_tag_is_the_same_manifest_byte_by_byte():
    with serving(plain) as server:
        registry = Registry(server.host)
        answer = registry.tag(parse_reference(f"{server.host}/lab/x@{DIGEST}"), "moving")
        ((_, path, _, body),) = [row for row in server.asked if row[0] == "PUT"]
    assert answer.status == 201
    assert (path, body) == ("/v2/lab/x/manifests/moving", MANIFEST)


def test_a_digest_is_counted_where_no_header_names_it():
    def answer(_server, _method, _path, _headers, _body):
        return 200, {}, MANIFEST

    with serving(answer) as server:
        assert Registry(server.host).digest_of(parse_reference(f"{server.host}/lab/x:1")) == DIGEST


def test_an_absent_tag_has_no_digest_and_a_refusal_is_a_failure():
    def answer(_server, _method, path, _headers, _body):
        return (404 if path.endswith("/none") else 403), {}, b'{"errors": [{"code": "DENIED", "message": "not yours"}]}'

    with serving(answer) as server:
        registry = Registry(server.host)
        assert registry.digest_of(parse_reference(f"{server.host}/lab/x:none")) is None
        assert "not yours" in registry.manifest(parse_reference(f"{server.host}/lab/x:1")).detail
        with pytest.raises(EnvironmentUnfit, match="forbids it"):
            registry.digest_of(parse_reference(f"{server.host}/lab/x:1"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody signed, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=lab", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_the_ca_bundle_is_trusted_and_nothing_else(authority):
    with serving(plain, tls=authority) as server:
        assert Registry(server.host, insecure=False).probe().outcome is Outcome.TLS
        assert Registry(server.host, insecure=False, ca_bundle=authority[0]).probe().outcome is Outcome.ANSWERS


def test_what_docker_trusts_is_trusted(authority, tmp_path, monkeypatch):
    monkeypatch.setattr("bake.registry.transport.CERTIFICATES", tmp_path)
    with serving(plain, tls=authority) as server:
        (tmp_path / server.host).mkdir()
        (tmp_path / server.host / "ca.crt").write_bytes(authority[0].read_bytes())
        assert Registry(server.host, insecure=False).probe().outcome is Outcome.ANSWERS


def refusing(status):
    def answer(server, method, path, headers, body):
        if method == "POST":
            return status, {}, b'{"errors": [{"code": "X", "message": "said so"}]}'
        return plain(server, method, path, headers, body)

    return answer


@pytest.mark.parametrize(
    ("status", "severity", "message"),
    [
        (202, "ok", "lab/x may be written"),
        (400, "error", "refuses the name lab/x"),
        (401, "error", "may not write lab/x"),
        (403, "error", "may not write lab/x"),
        (404, "error", "has no place for lab/x"),
        (405, "error", "is read only"),
        (429, "warning", "error just now"),
        (503, "warning", "error just now"),
        (501, "warning", "error just now"),
        (418, "error", "cannot be written"),
    ],
)
def test_the_preflight_says_what_a_push_would_meet(monkeypatch, status, severity, message):
    # What the engine sees of it is another test's matter, with a real engine.
    monkeypatch.setattr("bake.doctor.registry.engine_registry.check", lambda *_: iter(()))
    with serving(plain if status == 202 else refusing(status)) as server:
        subject = Subject(registry=server.host, image=f"{server.host}/lab/x:1", pushes=True, keyring=keyring(server))
        (finding,) = run_checks(subject, only=frozenset({"registry"}))
    assert finding.severity is Severity(severity)
    assert message in finding.message
    assert status == 202 or "said so" in finding.message
    assert bool(finding.remediation) == (severity != "ok")


def test_the_preflight_tells_no_login_from_a_wrong_one(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving(with_password) as server:
        place = {"registry": server.host, "image": f"{server.host}/lab/x:1", "pushes": True}
        wrong = keyring(server, secret="canary")
        (refused,) = run_checks(Subject(**place, keyring=wrong), only=frozenset({"registry"}))
        (absent,) = run_checks(Subject(**place), only=frozenset({"registry"}))
    assert (refused.severity, absent.severity) == (Severity.ERROR, Severity.ERROR)
    assert "refuses the login of the user ci (given)" in refused.message
    assert "asks for a login" in absent.message
    assert absent.remediation == f"docker login {server.host}, or give --username with --password-stdin"
    assert "canary" not in f"{refused} {absent}"
