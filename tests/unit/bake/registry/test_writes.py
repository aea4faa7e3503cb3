"""The registry client's writes, and the digests that it tells."""

from __future__ import annotations

import pytest

from bake.errors import EnvironmentUnfit
from bake.reference import parse_reference
from bake.registry import Registry
from tests.unit.bake.registry.served import DIGEST, MANIFEST, keyring, plain, serving, with_password


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
