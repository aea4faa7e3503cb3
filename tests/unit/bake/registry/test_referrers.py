"""What refers to an image, in a real registry without that interface, and in a small one that has it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bake.reference import Reference, parse_reference
from bake.registry import Answer, Outcome, Registry
from bake.registry.manifest import IMAGES, INDEX, MANIFEST
from bake.registry.referrers import CONTENT_BYTES, Artifact, attach, attached
from tests.engine.network.authority import Authority
from tests.loopback import Loopback, loopback

KIND = "application/vnd.lab.note.v1+json"


def note(text: str, **annotations: str) -> Artifact:
    return Artifact(kind=KIND, content=text.encode(), annotations=annotations)


def texts(found: list[Artifact] | Answer) -> list[str]:
    assert not isinstance(found, Answer), found
    return sorted(artifact.content.decode() for artifact in found)


def rows_of(registry: Registry, image: Reference) -> list[dict[str, Any]]:
    found = registry.listed(image)
    assert not isinstance(found, Answer), found
    return found


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Loopback]:
    with loopback(tmp_path) as started:
        yield started


class Referring(ThreadingHTTPServer):
    """A registry that has the referrers interface, one descriptor a page, as the specification describes it."""

    def __init__(self, *, listed: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.listed = listed
        self.pages: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def rows(self, subject: str) -> list[dict[str, Any]]:
        found = {}
        for kind, content in self.manifests.values():
            data = json.loads(content)
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            if data.get("subject", {}).get("digest") == subject:
                known = {"artifactType": data["artifactType"], "annotations": data["annotations"]}
                found[digest] = {"mediaType": kind, "digest": digest, "size": len(content), **known}
        return list(found.values())


class _Handler(BaseHTTPRequestHandler):
    server: Referring

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query, name = parse_qs(parts.query), parts.path.rpartition("/")[2]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/referrers/" in parts.path:
            self.server.pages.append(self.path)
            rows, at = self.server.rows(name), int(query.get("at", ["0"])[0])
            link = {"Link": f'<{parts.path}?at={at + 1}>; rel="next"'} if at + 1 < len(rows) else {}
            page = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows[at : at + 1]}).encode()
            self._answer(200, page, {"Content-Type": INDEX, **link})
        elif self.command == "POST":
            self._answer(202, b"", {"Location": f"{self.path}7"})
        elif self.command == "PUT" and "/uploads/" in parts.path:
            self.server.blobs[query["digest"][0]] = body
            self._answer(201, b"")
        elif self.command == "PUT":
            kind = self.headers["Content-Type"]
            self.server.manifests[name] = (kind, body)
            subject = json.loads(body).get("subject", {}).get("digest")
            self._answer(201, b"", {"OCI-Subject": subject} if subject else {})
        elif "/blobs/" in parts.path:
            self._answer(200 if name in self.server.blobs else 404, self.server.blobs.get(name, b""))
        elif name in self.server.manifests:
            kind, content = self.server.manifests[name]
            self._answer(200, content, {"Content-Type": kind})
        else:
            self._answer(200 if parts.path == "/v2/" else 404, b"{}")

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - the names that http.server asks for

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def referring() -> Iterator[Referring]:
    with Referring() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def image_in(server: Referring) -> Reference:
    content = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": []}).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    server.manifests[digest] = (MANIFEST, content)
    return parse_reference(f"{server.host}/lab/demo@{digest}")


def test_what_is_attached_is_found_again_and_the_image_stays_as_it_is(lab: Loopback) -> None:
    image, registry = lab.put_image("lab/demo:1"), lab.registry()
    before = registry.manifest(image).body
    assert attach(registry, image, [note("one", colour="red"), note("two")]).outcome is Outcome.ANSWERS
    assert attach(registry, image, [note("three"), note("one", colour="red")]).outcome is Outcome.ANSWERS
    found = attached(registry, image, KIND)
    assert texts(found) == ["one", "three", "two"]
    assert texts(attached(registry, image, "application/other")) == []
    assert registry.digest_of(dataclasses.replace(image, digest=None)) == image.digest
    assert registry.manifest(image).body == before
    # Distribution specification, "Referrers Tag Schema".
    assert lab.tags("lab/demo") == ["1", str(image.digest).replace(":", "-")]


def test_the_list_of_a_registry_without_the_interface_says_what_its_rows_are(lab: Loopback) -> None:
    image, registry = lab.put_image("lab/demo:1"), lab.registry()
    attach(registry, image, [note("one", colour="red")])
    (row,) = rows_of(registry, image)
    assert (row["mediaType"], row["artifactType"], row["annotations"]) == (MANIFEST, KIND, {"colour": "red"})
    manifest = registry.manifest(dataclasses.replace(image, tag=None, digest=row["digest"])).data
    assert manifest["artifactType"] == KIND
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
    }
    assert manifest["subject"] == {
        "mediaType": MANIFEST,
        "digest": image.digest,
        "size": len(registry.manifest(image).body),
    }


def test_a_registry_with_the_interface_gets_no_list(referring: Referring) -> None:
    image, registry = image_in(referring), Registry(referring.host)
    assert attach(registry, image, [note("one"), note("two"), note("three")]).outcome is Outcome.ANSWERS
    assert texts(attached(registry, image, KIND)) == ["one", "three", "two"]
    assert len(referring.pages) == 3  # page by page
    assert not [name for name in referring.manifests if name.startswith("sha256-")]


def test_a_list_without_an_end_is_cut_off(referring: Referring) -> None:
    image, registry = image_in(referring), Registry(referring.host)
    attach(registry, image, [note(str(number)) for number in range(20)])
    assert len(texts(attached(registry, image, KIND))) == len(referring.pages) == 16


def test_several_writers_of_a_list_lose_nothing_in_the_end(lab: Loopback) -> None:
    image = lab.put_image("lab/demo:1")
    names = [f"{number}" for number in range(4)]
    # Two that write at once may both believe to be done, and one list is lost; who writes again finds it.
    for _ in range(3):
        threads = [threading.Thread(target=attach, args=(lab.registry(), image, [note(name)])) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in names:
        assert attach(lab.registry(), image, [note(name)]).outcome is Outcome.ANSWERS
    assert texts(attached(lab.registry(), image, KIND)) == names


def test_a_writer_that_comes_between_is_noticed(lab: Loopback) -> None:
    image, registry = lab.put_image("lab/demo:1"), lab.registry()
    tag = str(image.digest).replace(":", "-")
    empty = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    put, times = registry.put_manifest, []

    def put_and_lose(repository: str, name: str, content: bytes, media_type: str) -> Answer:
        answer = put(repository, name, content, media_type)
        times.append(name)
        if times.count(tag) == 1:
            put(repository, tag, empty, INDEX)
        return answer

    registry.put_manifest = put_and_lose  # type: ignore[method-assign]
    assert attach(registry, image, [note("one")]).outcome is Outcome.ANSWERS
    assert texts(attached(registry, image, KIND)) == ["one"]


def test_a_full_list_is_told(lab: Loopback) -> None:
    image, registry = lab.put_image("lab/demo:1"), lab.registry()
    attach(registry, image, [note("one")])
    (row,) = rows_of(registry, image)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [row] * IMAGES}).encode()
    registry.put_manifest("lab/demo", str(image.digest).replace(":", "-"), index, INDEX)
    answer = attach(registry, image, [note("two")])
    assert (answer.outcome, answer.detail) == (
        Outcome.ERROR, f"more than {IMAGES} artifacts refer to the image; delete some"
    )  # fmt: skip


def test_what_is_too_large_or_another_content_is_left_out(referring: Referring) -> None:
    image, registry = image_in(referring), Registry(referring.host)
    attach(registry, image, [note("one"), note("two"), note("three")])
    changed, grown = (f"sha256:{hashlib.sha256(text).hexdigest()}" for text in (b"one", b"two"))
    referring.blobs[changed] = b"another"
    referring.blobs[grown] = bytes(CONTENT_BYTES + 1)
    assert texts(attached(registry, image, KIND)) == ["three"]


def test_nested_and_broken_answers_are_no_lists(referring: Referring, lab: Loopback) -> None:
    image = lab.put_image("lab/demo:1")
    tag = str(image.digest).replace(":", "-")
    deep = b'{"manifests": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    server, registry = referring, Registry(referring.host)
    server.manifests[tag] = (INDEX, deep)
    assert isinstance(registry.listed(dataclasses.replace(image, registry=server.host)), Answer)


def test_a_login_is_sent_where_it_is_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    (tmp_path / "registry").mkdir()
    with loopback(tmp_path / "registry", accounts={"lab": "secret"}, tls=(certificate, key)) as lab:
        image = lab.put_image("lab/demo:1")
        assert attach(lab.registry(), image, [note("one")]).outcome is Outcome.ANSWERS
        assert texts(attached(lab.registry(), image, KIND)) == ["one"]
        stranger = lab.registry(logged_in=False)
        assert attach(stranger, image, [note("two")]).outcome is Outcome.LOGIN
        answer = attached(stranger, image, KIND)
        assert isinstance(answer, Answer)
        assert answer.outcome is Outcome.LOGIN
