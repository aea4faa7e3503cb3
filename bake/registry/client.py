"""Asks a registry over HTTP: may we read and write, is an image there with all of its bytes; and moves tags."""

from __future__ import annotations

import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from bake.address import origin
from bake.credentials import Keyring
from bake.reference import is_digest
from bake.registry.answer import Answer, Outcome, Pushed, digest_of, faulty, held_to
from bake.registry.authorization import Authorizer
from bake.registry.manifest import IMAGES, INDEX, fault_of, has_twins
from bake.registry.texts import failure_of
from bake.registry.transport import ANSWER_BYTES, Transport
from bake.units import number_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bake.reference import Reference

_MANIFESTS = (
    f"{INDEX}, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
CONFIG_BYTES = 8 << 20  # of an image's configuration, with its history
_PAGES = 16  # of a list of referrers
_NEXT = re.compile(r"<([^>]+)>[^,]*rel=\"?next\"?")  # RFC 8288, as the specification uses it
_AT_ONCE = 8  # blobs that are asked for at the same time


class Registry:
    """A registry by host; talks http to loopback addresses (https where that is spoken) and https to all others.

    Args:
        host: ``host[:port]``; a path after it is ignored. ca_bundle: PEM file with the CAs to trust besides the
            system's. timeout: seconds for each request. keyring: logins; None: docker's own. insecure: what docker
            calls an insecure registry; None: loopback addresses are.

    """

    def __init__(
        self,
        host: str,
        *,
        ca_bundle: Path | None = None,
        timeout: float = 5.0,
        keyring: Keyring | None = None,
        insecure: bool | None = None,
    ) -> None:
        self.host = host.partition("/")[0]
        self._transport = Transport(self.host, ca_bundle=ca_bundle, timeout=timeout, insecure=insecure)
        self._authorizer = Authorizer(self.host, keyring or Keyring(), self._transport)

    def probe(self) -> Answer:
        """Ask whether this is a registry (``GET /v2/``) that takes our login."""
        return self._ask("GET", "/v2/")

    def manifest(self, reference: Reference) -> Answer:
        """Fetch the manifest of an image, by its digest if it has one, and held against it."""
        return self._manifest_at(_manifest(reference), reference.digest)

    def _manifest_at(self, path: str, digest: str | None) -> Answer:
        answer = held_to(digest, self._ask("GET", path, {"Accept": _MANIFESTS}))
        if answer.outcome is Outcome.ANSWERS and (fault := fault_of(answer.data)):
            return faulty(answer.url, fault, answer.headers)
        return answer

    def image_config(self, reference: Reference, platform: str) -> dict[str, Any] | None:
        """Fetch the configuration of an image, all of it; None where the registry gives none, or no plain one.

        Args:
            platform: the one of several, as ``linux/amd64``.
        """
        manifest = self.manifest(reference).data
        if "manifests" in manifest:
            fitting = [
                str(item["digest"])
                for item in manifest["manifests"]
                if _platform(item.get("platform") or {}) == platform.split("/")[:2]
            ]
            digest = fitting[0] if len(fitting) == 1 else ""  # of several, BuildKit may take another one
            path = f"/v2/{reference.repository}/manifests/{digest}"
            manifest = self._manifest_at(path, digest).data if digest else {}
        digest = str((manifest.get("config") or {}).get("digest", ""))
        answer = self.blob(reference.repository, digest, limit=CONFIG_BYTES) if digest else None
        whole = answer.data if answer is not None and answer.outcome is Outcome.ANSWERS else {}
        if answer is not None and has_twins(answer.body):
            return None
        return whole if isinstance(whole.get("config"), dict) else None

    def digest_of(self, reference: Reference) -> str | None:
        """Give the digest that a tag stands for now; None: there is no such image.

        Raises:
            EnvironmentUnfit: the registry cannot be asked, or refuses.

        """
        answer = self._ask("HEAD", _manifest(reference), {"Accept": _MANIFESTS})
        if answer.outcome is Outcome.ANSWERS and not answer.headers.get("docker-content-digest"):
            answer = self.manifest(reference)  # the header is optional
        if answer.outcome is Outcome.ABSENT:
            return None
        if answer.outcome is not Outcome.ANSWERS:
            raise failure_of(answer, self.host, doing=str(reference))
        named = answer.headers.get("docker-content-digest")
        return named or digest_of(answer.body)

    def may_push(self, repository: str) -> Answer:
        """Prove that we may write: start an upload and cancel it. ``ANSWERS`` means yes; nothing stays there."""
        answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/", body=b"")
        self._cancel(answer, f"POST {repository}")
        return answer

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Let a repository have a blob of another one of this registry, without sending it; tell whether it has it now.

        OCI distribution specification, "Mounting a blob from another repository": a registry that does not do it, or
        not for us, begins an upload instead, which is cancelled.

        Args:
            repository: gets it. digest: of the blob. source: the repository that has it.

        """
        if self.holds(repository, digest):
            return True
        query = urlencode({"mount": digest, "from": source}, safe=":/")
        purpose = f"POST {repository} from {source}"  # the token is one for both
        answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/?{query}", purpose=purpose, body=b"")
        if answer.status == HTTPStatus.CREATED:
            return True
        self._cancel(answer, purpose)
        return False

    def _cancel(self, answer: Answer, purpose: str) -> None:
        """End an upload that was begun."""
        if answer.outcome is Outcome.ANSWERS:
            place = urljoin(answer.url, answer.headers.get("location", ""))
            if self._is_own(place):
                self._ask("DELETE", place, purpose=purpose)

    def blob(self, repository: str, digest: str, *, limit: int) -> Answer:
        """Fetch a blob of a few bytes, held against its digest."""
        return held_to(digest, self._ask("GET", f"/v2/{repository}/blobs/{digest}", limit=limit))

    def put_blob(self, repository: str, content: bytes) -> Answer:
        """Write a blob of a few bytes, unless it is there (specification, "POST then PUT")."""
        digest = digest_of(content)
        there = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        if there.outcome is Outcome.ANSWERS:
            return there
        purpose = f"POST {repository}"
        begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/", purpose=purpose, body=b"")
        if begun.outcome is not Outcome.ANSWERS:
            return begun
        place = urljoin(begun.url, begun.headers.get("location", ""))
        if not self._is_own(place):
            return faulty(begun.url, "it wants uploads to be sent to another server", begun.headers)
        url = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"
        return self._ask("PUT", url, {"Content-Type": "application/octet-stream"}, purpose=purpose, body=content)

    def referrers(self, reference: Reference) -> list[dict[str, Any]] | Answer:
        """List what refers to an image: descriptors of manifests whose ``subject`` it is.

        Specification, "Listing Referrers": a registry without that interface has them in an index under a tag of the
        digest.

        Args:
            reference: the image, by digest.

        Returns:
            the descriptors, or the answer that stood in the way.
        """
        found: list[dict[str, Any]] = []
        url = f"/v2/{reference.repository}/referrers/{reference.digest}"
        purpose = f"GET {reference.repository}"
        for _ in range(_PAGES):
            answer = self._ask("GET", url, {"Accept": INDEX}, purpose=purpose)
            if not found and (_unknown(answer) or not _is_index(answer)):
                return self.listed(reference)
            if answer.outcome is not Outcome.ANSWERS:
                return answer
            if fault := fault_of(answer.data):
                return faulty(answer.url, fault, answer.headers)
            found += answer.data["manifests"]
            following = _NEXT.search(answer.headers.get("link", ""))
            url = urljoin(answer.url, following[1]) if following else ""
            if not following or not self._is_own(url) or len(found) > IMAGES:
                break
        return found[:IMAGES]

    def listed(self, reference: Reference) -> list[dict[str, Any]] | Answer:
        """Read the index under the tag of an image's digest (specification, "Referrers Tag Schema")."""
        answer = self.manifest(dataclasses.replace(reference, digest=None, tag=list_tag(reference)))
        if answer.outcome is Outcome.ABSENT:
            return []
        return list(answer.data.get("manifests", ())) if answer.outcome is Outcome.ANSWERS else answer

    def put_manifest(self, repository: str, name: str, content: bytes, media_type: str) -> Answer:
        """Write a manifest under a tag or its digest."""
        return self._ask("PUT", f"/v2/{repository}/manifests/{name}", {"Content-Type": media_type}, body=content)

    def tag(self, reference: Reference, tag: str) -> Answer:
        """Give an image of this registry another tag: its manifest as it is, byte by byte.

        Args:
            reference: the image, by digest. tag: the tag, made or moved.

        """
        answer = self.manifest(reference)
        if answer.outcome is not Outcome.ANSWERS:
            return answer
        media_type = answer.headers.get("content-type") or str(answer.data.get("mediaType", ""))
        return self.put_manifest(reference.repository, tag, answer.body, media_type)

    def untag(self, reference: Reference) -> Answer:
        """Take a tag away, and nothing else; not every registry does (distribution specification, "Deleting tags")."""
        return self._ask("DELETE", f"/v2/{reference.repository}/manifests/{reference.tag}")

    def pushed(self, reference: Reference) -> Pushed | Answer:
        """Prove that an image is all there: its manifests, and a HEAD for each config and layer, several at a time.

        Returns:
            what is there, or the answer that stood in the way.

        """
        answer = self.manifest(reference)
        if answer.outcome is not Outcome.ANSWERS:
            return answer
        digests = {
            str(blob.get("digest", "")): None
            for manifest in self._images(reference, answer.data)
            for blob in (manifest.get("config", {}), *manifest.get("layers", ()))
        }
        digests.pop("", None)
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            sizes = list(pool.map(partial(self._blob_size, reference), digests))
        blobs = dict(zip(digests, sizes, strict=True))
        return Pushed(digest=answer.headers.get("docker-content-digest", ""), blobs=blobs)

    def _images(self, reference: Reference, manifest: dict[str, Any]) -> list[dict[str, Any]]:
        if "manifests" not in manifest:
            return [manifest]
        digests = [str(item["digest"]) for item in manifest["manifests"]]
        answers = [self._manifest_at(f"/v2/{reference.repository}/manifests/{name}", name) for name in digests]
        missing = {"layers": [{"digest": "missing manifest"}]}
        return [item.data if item.outcome is Outcome.ANSWERS else missing for item in answers]

    def holds(self, repository: str, digest: str) -> bool | None:
        """Ask whether a repository has a blob; None when it does not tell, as to whom it does not know."""
        outcome = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}").outcome
        return {Outcome.ANSWERS: True, Outcome.ABSENT: False}.get(outcome)

    def _blob_size(self, reference: Reference, digest: str) -> int | None:
        answer = self._ask("HEAD", f"/v2/{reference.repository}/blobs/{digest}")
        if answer.outcome is not Outcome.ANSWERS:
            return None
        return number_in(answer.headers.get("content-length", "")) or 0

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        purpose: str = "",
        limit: int = ANSWER_BYTES,
    ) -> Answer:
        """Ask, and once more with what the registry's challenge asks for; that of another server gets no login."""
        url = urljoin(self._transport.base, path)
        purpose = purpose or _purpose(method, path)
        used = self._authorizer.header(purpose)
        send = partial(self._request, method, url, headers, body=body, limit=limit)
        answer = send(authorization=used)
        challenge = answer.headers.get("www-authenticate", "")
        asks = answer.outcome is Outcome.LOGIN and self._is_own(answer.url)
        if asks and self._authorizer.meet(challenge, purpose, used):
            answer = send(authorization=self._authorizer.header(purpose))
        named = answer.headers.get("docker-content-digest", "")
        if answer.outcome is Outcome.ANSWERS and named and not is_digest(named):
            return faulty(answer.url, "what it names as the digest is none", answer.headers)
        return answer

    def _is_own(self, url: str) -> bool:
        return origin(url) == origin(self._transport.base)

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        *,
        authorization: str,
        body: bytes | None,
        limit: int,
    ) -> Answer:
        return self._transport.send(method, url, headers, authorization=authorization, body=body, limit=limit)


def list_tag(reference: Reference) -> str:
    """Give the tag that lists what refers to an image: its digest, as a tag can be written."""
    return str(reference.digest).replace(":", "-")


def _unknown(answer: Answer) -> bool:
    """Tell whether a registry does not know what it was asked; some say so with another status than 404."""
    return answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED)


def _is_index(answer: Answer) -> bool:
    """Tell whether an answer may be a list; one that failed is the caller's to judge."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return answer.outcome is not Outcome.ANSWERS or kind == INDEX


def _platform(entry: dict[str, Any]) -> list[str]:
    return [str(entry.get("os", "")), str(entry.get("architecture", ""))]


def _manifest(reference: Reference) -> str:
    return f"/v2/{reference.repository}/manifests/{reference.digest or reference.tag or 'latest'}"


def _purpose(method: str, path: str) -> str:
    """What a token is kept for: reading or writing one repository."""
    repository = path.removeprefix("/v2/").partition("/manifests/")[0].partition("/blobs/")[0]
    return f"{'GET' if method in ('GET', 'HEAD') else 'POST'} {repository}"
