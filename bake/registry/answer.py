"""How a registry answered, as plain values."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    """A registry's answer; ``url`` is of who answered, after redirects; ``headers`` have lower-case names."""

    outcome: Outcome
    url: str
    detail: str = ""
    status: int = 0
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def data(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none, or one too deep to be anything that a registry says."""
        try:
            read = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}


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


def of_status(status: int, reason: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Make the answer of an HTTP status that is an error."""
    known = {
        HTTPStatus.UNAUTHORIZED: Outcome.LOGIN,
        HTTPStatus.FORBIDDEN: Outcome.FORBIDDEN,
        HTTPStatus.NOT_FOUND: Outcome.ABSENT,
    }
    bare = Answer(outcome=Outcome.ERROR, url=url, headers=headers, body=body)
    said = _said(bare.data)
    return Answer(
        outcome=next((outcome for code, outcome in known.items() if code == status), Outcome.ERROR),
        url=url,
        detail=f"{status} {reason}".strip() + (f": {said}" if said else ""),
        status=status,
        headers=headers,
        body=body,
    )


def faulty(url: str, fault: str, headers: Mapping[str, str]) -> Answer:
    """Make the answer of a registry whose own answer can't be worked with."""
    return Answer(outcome=Outcome.ERROR, url=url, detail=fault, headers=headers)


def of_error(reason: object, url: str) -> Answer:
    """Make the answer of a connection that failed."""
    known: tuple[tuple[type[BaseException], Outcome], ...] = (
        (ssl.SSLError, Outcome.TLS),
        (ConnectionRefusedError, Outcome.REFUSED),
        (socket.gaierror, Outcome.NAME),
        (TimeoutError, Outcome.TIMEOUT),
    )
    outcome = next((outcome for kind, outcome in known if isinstance(reason, kind)), Outcome.UNREACHABLE)
    return Answer(outcome=outcome, url=url, detail=str(reason) or type(reason).__name__, headers={})


def _said(data: Mapping[str, Any]) -> str:
    """What the registry says of an error, on one line (specification, "Error Codes")."""
    errors = data.get("errors")
    if not isinstance(errors, list):
        return ""
    rows = [error for error in errors if isinstance(error, dict)]
    return "; ".join(" ".join(str(row.get("message") or row.get("code") or "").split())[:200] for row in rows)


def held_to(digest: str | None, answer: Answer) -> Answer:
    """Give an answer whose content is that of a digest; None: any."""
    if digest is None or answer.outcome is not Outcome.ANSWERS:
        return answer
    if digest_of(answer.body, digest.partition(":")[0]) == digest:
        return answer
    return faulty(answer.url, f"what it gives as {digest} is something else", answer.headers)


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """Give the digest of a content, by one of the algorithms that OCI registers: sha256, sha512, and sha384."""
    made = hashlib.new(algorithm if algorithm in ("sha384", "sha512") else "sha256", content, usedforsecurity=True)
    return f"{made.name}:{made.hexdigest()}"
