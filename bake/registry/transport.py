"""One HTTP request to a registry and its answer: TLS as docker trusts it, proxies, no credentials after a redirect."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from bake.errors import EnvironmentUnfit
from bake.reference import is_loopback
from bake.registry import timed
from bake.registry.answer import Answer, Outcome, faulty, of_error, of_status
from bake.units import number_in, size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from http.client import HTTPMessage, HTTPResponse

# Where docker looks for the CAs and client certificates of a registry, a folder for each host[:port].
CERTIFICATES = Path("/etc/docker/certs.d")
_DOCKER_HUB = "registry-1.docker.io"
_ERROR_BYTES = 1 << 16  # of an error's body that are read
_SLOWEST = 1 << 16  # bytes a second, at which an answer of the largest size that is taken may come
ANSWER_BYTES = 4 << 20  # of another one: what a registry has to take as a manifest (distribution specification)


class Transport:
    """Sends requests to one registry.

    Args:
        host: ``host[:port]``. ca_bundle: PEM file with CAs to trust besides the system's and docker's. timeout:
            seconds that a connection may say nothing; an answer as a whole may take longer, as its limit of bytes
            does. insecure: plain HTTP, or TLS with any certificate, will do; None:
            for loopback addresses, as docker does it.

    """

    def __init__(self, host: str, *, ca_bundle: Path | None, timeout: float, insecure: bool | None) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        local = is_loopback(host)
        self.insecure = local if insecure is None else insecure
        context = ssl.create_default_context()
        if ca_bundle is not None:
            _trust(context, ca_bundle)
        _trust_as_docker(context, CERTIFICATES / host)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        direct = [ProxyHandler({})] if local else []
        self._opener = build_opener(*timed.handlers(context), _SameMethod(), *direct)
        name = _DOCKER_HUB if host == "docker.io" else host
        schemes = ("http", "https") if local else ("https", "http")
        self._bases = [f"{scheme}://{name}" for scheme in (schemes if self.insecure else ("https",))]

    @property
    def base(self) -> str:
        """Scheme and host; where both schemes are allowed, the one that answers (asked once, without a login)."""
        with self._lock:
            while len(self._bases) > 1:
                answer = self.send("GET", f"{self._bases[0]}/v2/")
                # Go and nginx answer plain HTTP on a TLS port with a sentence about HTTPS.
                plain = answer.status == HTTPStatus.BAD_REQUEST and b"HTTPS" in answer.body
                if plain or answer.outcome is Outcome.TLS:
                    del self._bases[0]
                elif answer.status:
                    del self._bases[1:]
                else:
                    break  # nothing was learnt: it does not answer
            return self._bases[0]

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        authorization: str = "",
        body: bytes | None = None,
        limit: int = ANSWER_BYTES,
    ) -> Answer:
        """Send one request; what goes wrong is an answer too, also a body of more bytes or seconds than it may have."""
        request = Request(url, method=method, headers=dict(headers or {}), data=body)  # noqa: S310 - http(s), see base
        timed.give_until(request, time.monotonic() + self._timeout + limit / _SLOWEST)
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                headers = _lower(response.headers)
                said = _body(response, limit, headers.get("content-length", "") if method != "HEAD" else "")
                if len(said) > limit:
                    return faulty(response.url, f"its answer has more than {size(limit)}", headers)
                return Answer(
                    outcome=Outcome.ANSWERS, url=response.url, status=response.status, headers=headers, body=said
                )
        except HTTPError as error:
            with error:
                said = b""
                with suppress(OSError, HTTPException):
                    said = error.read(_ERROR_BYTES)
            return of_status(error.code, str(error.reason), error.url, _lower(error.headers), said)
        except (URLError, OSError, HTTPException, ValueError) as error:  # ValueError: of a redirect
            return of_error(error.reason if isinstance(error, URLError) else error, url)


def _body(response: HTTPResponse, limit: int, length: str) -> bytes:
    """Read a body, and one byte more than the limit where it has more."""
    body = response.read(limit + 1)
    if len(body) < min(number_in(length) or 0, limit + 1):
        raise IncompleteRead(body)
    return body


class _SameMethod(HTTPRedirectHandler):
    """Keeps a HEAD a HEAD: a blob that lies elsewhere would be downloaded otherwise."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        moved = super().redirect_request(req, fp, code, msg, headers, newurl)
        if moved is not None:
            timed.give_until(moved, timed.until(req))
            if req.get_method() == "HEAD":
                moved.method = "HEAD"
        return moved


def _lower(headers: Message) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def _trust(context: ssl.SSLContext, ca_bundle: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(ca_bundle))
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EnvironmentUnfit(
            f"the CA bundle cannot be used: {reason}", where=str(ca_bundle), remedy="give a PEM file with certificates"
        ) from None


def _trust_as_docker(context: ssl.SSLContext, folder: Path) -> None:
    """Take over what this machine's engine trusts and shows (dockerd: "Verify repository client with certificates")."""
    with suppress(OSError):  # another user's, or a file that is none: docker says so, not we
        for file in sorted(folder.glob("*.crt")):
            with suppress(ssl.SSLError, OSError):
                context.load_verify_locations(cafile=str(file))
        for file in sorted(folder.glob("*.cert")):
            with suppress(ssl.SSLError, OSError):
                context.load_cert_chain(file, file.with_suffix(".key"))
