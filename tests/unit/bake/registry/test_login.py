"""The registry client's logins, and whose certificates it trusts."""

# ruff: noqa: ARG001 - answers share one signature

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from bake.reference import parse_reference
from bake.registry import Outcome, Registry
from tests.certificates import self_signed
from tests.unit.bake.registry.served import BASIC, DIGEST, keyring, plain, serving, with_password


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


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody signed, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


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
