"""Asks a registry over HTTP: does it answer, may we read, is an image there with all of its bytes.

OCI Distribution Specification, end-1 to end-3. Anonymous, except for the token that public registries hand to anyone.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from bake.reference import is_loopback
from generator.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bake.reference import Reference

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_DOCKER_HUB = "registry-1.docker.io"
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Outcome(str, Enum):
    """How a registry answered."""

    ANSWERS = "answers"
    LOGIN = "login"  # 401
    FORBIDDEN = "forbidden"  # 403
    ABSENT = "absent"  # 404
    ERROR = "error"  # another status
    REFUSED = "refused"
    NAME = "name"  # DNS
    TLS = "tls"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A registry's answer; ``detail`` is what to show, ``headers`` have lower-case names."""

    outcome: Outcome
    url: str
    detail: str = ""
    status: int = 0
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What a registry holds of an image: sizes in bytes by digest, None for a blob that is missing."""

    digest: str
    blobs: Mapping[str, int | None]

    @property
    def complete(self) -> bool:
        """True when every blob of every platform is there."""
        return all(size is not None for size in self.blobs.values())

    @property
    def size(self) -> int:
        """Bytes of all blobs, each counted once."""
        return sum(size or 0 for size in self.blobs.values())


class Registry:
    """A registry by host; talks http to loopback addresses and https to all others.

    Args:
        host: ``host[:port]``; a path after it is ignored. ca_bundle: PEM file with the CAs to trust besides the
            system's. timeout: seconds for each request.

    """

    def __init__(self, host: str, *, ca_bundle: Path | None = None, timeout: float = 5.0) -> None:
        self.host = host.partition("/")[0]
        real = _DOCKER_HUB if self.host == "docker.io" else self.host
        self.base = f"{'http' if is_loopback(self.host) else 'https'}://{real}"
        self._timeout = timeout
        self._token = ""
        context = ssl.create_default_context()
        if ca_bundle is not None:
            _trust(context, ca_bundle)
        direct = [ProxyHandler({})] if is_loopback(self.host) else []
        self._opener = build_opener(HTTPSHandler(context=context), *direct)

    def probe(self) -> Answer:
        """Ask whether this is a registry (``GET /v2/``)."""
        return self._ask("GET", "/v2/")

    def manifest(self, reference: Reference) -> Answer:
        """Fetch the manifest of an image, by its digest if it has one."""
        name = reference.digest or reference.tag or "latest"
        return self._ask("GET", f"/v2/{reference.repository}/manifests/{name}", {"Accept": _MANIFESTS})

    def pushed(self, reference: Reference) -> Pushed | Answer:
        """Prove that an image is all there: its manifests, and a HEAD for each config and layer.

        Returns:
            what is there, or the answer that stood in the way.

        """
        answer = self.manifest(reference)
        if answer.outcome is not Outcome.ANSWERS:
            return answer
        blobs: dict[str, int | None] = {}
        for manifest in self._images(reference, _parsed(answer)):
            for blob in (manifest.get("config", {}), *manifest.get("layers", ())):
                digest = str(blob.get("digest", ""))
                if digest and digest not in blobs:
                    blobs[digest] = self._blob_size(reference, digest)
        return Pushed(digest=answer.headers.get("docker-content-digest", ""), blobs=blobs)

    def holds(self, repository: str, digest: str) -> bool | None:
        """Ask whether a repository has a blob; None when it does not tell, as to whom it does not know."""
        outcome = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}").outcome
        return {Outcome.ANSWERS: True, Outcome.ABSENT: False}.get(outcome)

    def _images(self, reference: Reference, manifest: dict[str, Any]) -> list[dict[str, Any]]:
        if "manifests" not in manifest:
            return [manifest]
        paths = [f"/v2/{reference.repository}/manifests/{item['digest']}" for item in manifest["manifests"]]
        answers = [self._ask("GET", path, {"Accept": _MANIFESTS}) for path in paths]
        missing = {"layers": [{"digest": "missing manifest"}]}
        return [_parsed(item) if item.outcome is Outcome.ANSWERS else missing for item in answers]

    def _blob_size(self, reference: Reference, digest: str) -> int | None:
        answer = self._ask("HEAD", f"/v2/{reference.repository}/blobs/{digest}")
        if answer.outcome is not Outcome.ANSWERS:
            return None
        return int(answer.headers.get("content-length", "0"))

    def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        answer = self._request(method, self.base + path, headers or {})
        if answer.outcome is Outcome.LOGIN and self._fetch_token(answer.headers.get("www-authenticate", "")):
            answer = self._request(method, self.base + path, headers or {})
        return answer

    def _fetch_token(self, challenge: str) -> bool:
        """Get the token that a registry gives to anyone; False when it gives none."""
        fields = dict(_CHALLENGE.findall(challenge))
        if not challenge.lower().startswith("bearer") or not fields.get("realm", "").startswith("http"):
            return False
        query = {key: fields[key] for key in ("service", "scope") if key in fields}
        answer = self._request("GET", f"{fields['realm']}?{urlencode(query)}", {})
        token = _parsed(answer).get("token") or _parsed(answer).get("access_token")
        fresh = isinstance(token, str) and token != self._token
        self._token = token if isinstance(token, str) else ""
        return fresh

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        request = Request(url, method=method, headers=dict(headers))  # noqa: S310 - http and https only, see base
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                found = {key.lower(): value for key, value in response.headers.items()}
                return Answer(
                    outcome=Outcome.ANSWERS,
                    url=url,
                    status=response.status,
                    headers=found,
                    body=response.read(),
                )
        except HTTPError as error:
            found = {key.lower(): value for key, value in error.headers.items()}
            error.close()
            return Answer(outcome=_of_status(error.code), url=url, detail=f"{error.code} {error.reason}",
                          status=error.code, headers=found)  # fmt: skip
        except (URLError, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            return Answer(outcome=_of_error(reason), url=url, detail=str(reason), headers={})


def _trust(context: ssl.SSLContext, ca_bundle: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(ca_bundle))
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EnvironmentUnfit(
            f"the CA bundle cannot be used: {reason}", where=str(ca_bundle), remedy="give a PEM file with certificates"
        ) from None


def _parsed(answer: Answer) -> dict[str, Any]:
    try:
        read = json.loads(answer.body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _of_status(status: int) -> Outcome:
    return {
        HTTPStatus.UNAUTHORIZED: Outcome.LOGIN,
        HTTPStatus.FORBIDDEN: Outcome.FORBIDDEN,
        HTTPStatus.NOT_FOUND: Outcome.ABSENT,
    }.get(HTTPStatus(status) if status in HTTPStatus._value2member_map_ else HTTPStatus.OK, Outcome.ERROR)


def _of_error(reason: object) -> Outcome:
    known: tuple[tuple[type[BaseException], Outcome], ...] = (
        (ssl.SSLError, Outcome.TLS),
        (ConnectionRefusedError, Outcome.REFUSED),
        (socket.gaierror, Outcome.NAME),
        (TimeoutError, Outcome.TIMEOUT),
    )
    return next((outcome for kind, outcome in known if isinstance(reason, kind)), Outcome.UNREACHABLE)
