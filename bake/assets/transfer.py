"""One HTTP transfer into a part: goes on where the last one ended, or begins anew when the source has changed."""

from __future__ import annotations

import hashlib
import math
import netrc
import re
import shutil
import ssl
import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.poolmanager import ProxyManager

from bake.address import origin
from bake.assets.part import Origin
from bake.errors import EnvironmentUnfit
from bake.sockets import TlsSocket, timed
from bake.units import number_in
from bake.units import size as shown

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from urllib3.response import HTTPResponse

    from bake.assets.part import Part
    from bake.assets.request import Request

TIMEOUT = (10.0, 60.0)  # seconds: to connect, between two reads
_ANSWER = 120.0  # seconds for the head of an answer as a whole
_CHUNK = 1 << 18
_SLOWEST, _SPELL = 1024, 60.0  # bytes a second that have to come on average in each spell of so many seconds
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>[0-9]{1,18})-[0-9]+|\*)/(?P<total>[0-9]{1,18}|\*)")
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_RESERVE = 64 << 20  # bytes that stay free on the disk
UNTOLD = 64 << 30  # bytes at most of a file whose size neither its source nor the recipe tells


class Refused(Exception):
    """A source will not give the file, however often it is asked."""


class Broken(Exception):
    """The transfer ended early; it is worth another try, after ``wait`` seconds if the server said so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class TooSlow(Broken):
    """Next to nothing came: no progress."""


class Unreachable(Broken):
    """No connection came about."""


def open_session(ca_bundle: Path | None, credentials: Path | None = None) -> requests.Session:
    """Make a session: proxies as the environment has them, the system's CAs and the bundle's trusted.

    Args:
        ca_bundle: PEM file with more CAs. credentials: a netrc file; None: ~/.netrc, or what NETRC names.

    Raises:
        EnvironmentUnfit: the bundle can't be used.
    """
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=str(ca_bundle))
        except (OSError, ssl.SSLError) as error:
            raise EnvironmentUnfit(
                f"the CA bundle cannot be used: {error}", where=str(ca_bundle), remedy="give a PEM file"
            ) from None
    session = _Session()
    session.mount("http://", _Adapter(context))
    session.mount("https://", _Adapter(context))
    if credentials is not None:
        session.auth = _Logins(credentials)
    # Bytes as they are: a server that compresses on the way would change the hash, and ranges with it.
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "image-uplift"})
    return session


class _Session(requests.Session):
    """Follows redirects without a login, unless to the same server.

    requests would look for one by the host's name, for any port of it and for plain http as well.
    """

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if origin(prepared_request.url or "") != origin(response.request.url or ""):
            prepared_request.headers.pop("Authorization", None)


class _Logins(AuthBase):
    """Logs in at the hosts of a netrc file."""

    def __init__(self, file: Path) -> None:
        self._known = netrc.netrc(str(file))

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        found = self._known.authenticators(urlsplit(request.url or "").hostname or "")
        return HTTPBasicAuth(found[0] or found[1] or "", found[2] or "")(request) if found else request


@contextmanager
def _told() -> Iterator[None]:
    """Say why the time is over: of a timeout urllib3 would say how long its own is."""
    try:
        yield
    except TimeoutError as error:
        raise ProtocolError(str(error)) from None


class _Answering(HTTPConnection):
    """Waits for the head of an answer, a proxy's too, as long as ``_ANSWER`` says, however steadily it trickles in."""

    def _new_conn(self) -> socket.socket:
        return timed(super()._new_conn(), time.monotonic() + _ANSWER)

    def _tunnel(self) -> None:
        with _told():
            super()._tunnel()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3's, as that of its own connections
        sock: Any = self.sock
        sock.until = time.monotonic() + _ANSWER
        with _told():
            response = super().getresponse()
        sock.until = math.inf
        sock.settimeout(self.timeout)
        return response


class _AnsweringTls(_Answering, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Answering


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _AnsweringTls


class _Adapter(HTTPAdapter):
    """Trusts the CAs of a context besides those that requests brings; an answer's head may not take for ever."""

    def __init__(self, context: ssl.SSLContext) -> None:
        context.sslsocket_class = TlsSocket
        self._context = context
        super().__init__()

    def init_poolmanager(self, *positional: Any, **named: Any) -> None:
        super().init_poolmanager(*positional, **named, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *positional: Any, **named: Any) -> Any:
        manager = super().proxy_manager_for(*positional, **named, ssl_context=self._context)
        if isinstance(manager, ProxyManager):  # a SOCKS proxy's connections are its own
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


def transfer(
    session: requests.Session,
    request: Request,
    url: str,
    part: Part,
    *,
    began: Callable[[int, int | None], None],
    came: Callable[[int], None],
) -> None:
    """Transfer what is missing of the file.

    Args:
        began: told the bytes that are there already, and the file's size. came: told the bytes of each block.

    Raises:
        Refused, Broken: as their names say. EnvironmentUnfit: the disk has no room.
    """
    if part.size and not _may_continue(request, url, part):
        part.restart()
    try:
        response = session.get(url, headers=_headers(part, url), stream=True, timeout=TIMEOUT)
    except requests.exceptions.SSLError as error:
        raise Refused(f"the certificate is not trusted ({reason_of(error)})") from None
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Unreachable(reason_of(error)) from None
    except (requests.RequestException, ValueError) as error:  # ValueError: of a redirect
        raise Refused(reason_of(error)) from None
    with response:
        total = _settle(response, request, part, url)
        if total is None:
            total = request.size
        began(part.size, total)
        if total is None or part.size < total:
            _require_room(part, total)
            _read(response, part, came, total)
        if total is not None and part.size != total:
            raise Broken(f"the connection ended at {shown(part.size)} of {shown(total)}")


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _may_continue(request: Request, url: str, part: Part) -> bool:
    """Bytes of one source go on from it; from another one, or unmarked, only where a hash will tell."""
    same = part.origin is not None and part.origin.source == _hash(url) and bool(part.origin.validator)
    return same or request.sha256 is not None


def _headers(part: Part, url: str) -> dict[str, str]:
    if not part.size:
        return {}
    headers = {"Range": f"bytes={part.size}-"}
    if part.origin is not None and part.origin.source == _hash(url) and part.origin.validator:
        headers["If-Range"] = part.origin.validator
    return headers


def _settle(response: requests.Response, request: Request, part: Part, url: str) -> int | None:
    """Make the part agree with the answer, note the origin, and give the file's size."""
    status = response.status_code
    if status in _TRANSIENT:
        raise Broken(f"{status} {response.reason}", _retry_after(response))
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
        if _total(response) == part.size:
            _require_size(request, part.size)
            return part.size
        part.restart()
        raise Broken("what came earlier is no part of this file; beginning anew", 0)
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise Refused(f"{status} {response.reason}")
    partial = status == HTTPStatus.PARTIAL_CONTENT
    total = _total(response) if partial else _length(response)
    come_from = Origin(
        source=_hash(url),
        etag=response.headers.get("ETag", ""),
        last_modified=response.headers.get("Last-Modified", ""),
        total=total,
    )
    if not partial:
        part.restart()
    elif _first(response) != part.size or _changed(part.origin, come_from):
        part.restart()
        raise Broken("the file changed at its source; beginning anew", 0)
    if total is not None:
        _require_size(request, total)
    part.come_from(come_from)
    return total


def _require_size(request: Request, total: int) -> None:
    if request.size not in (None, total):
        raise Refused(f"it has {total} bytes there, and the recipe or its lock says {request.size}")


def _changed(earlier: Origin | None, now: Origin) -> bool:
    """Servers that ignore If-Range answer 206 for a changed file as well."""
    if earlier is None:
        return False
    if earlier.total is not None and now.total is not None and earlier.total != now.total:
        return True
    return earlier.source == now.source and earlier.validator != now.validator


def _read(response: requests.Response, part: Part, came: Callable[[int], None], total: int | None) -> None:
    limit = min(UNTOLD, part.size + _room(part)) if total is None else total
    try:
        for block in _blocks(response):
            if part.size + len(block) > limit:
                part.restart()
                told = "that it should have" if total is not None else "and no size is told; write it into the recipe"
                raise Refused(f"it gives more than {shown(limit)} {told}")
            part.append(block)
            came(len(block))
    except (HTTPError, requests.RequestException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise Broken(f"the connection ended at {shown(part.size)} ({reason_of(error)})") from None
    except OSError as error:
        raise EnvironmentUnfit(
            f"the file can't be written: {error.strerror or error}",
            where=str(part.path),
            remedy="free space there, or choose another folder with --assets-dir; what came is kept",
        ) from None


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """Give what comes as it comes; a source that only keeps the connection alive is left.

    Raises:
        TooSlow: less comes than is worth waiting for.
    """
    began, came = time.monotonic(), 0
    while block := response.raw.read1(_CHUNK, decode_content=False):
        yield block
        came += len(block)
        if (passed := time.monotonic() - began) >= _SPELL:
            if came < _SLOWEST * passed:
                raise TooSlow(f"only {shown(came)} came in {passed:.0f} s")
            began, came = time.monotonic(), 0


def _require_room(part: Part, total: int | None) -> None:
    if total is None:
        return
    needed, room = total - part.size, _room(part)
    if room < needed:
        raise EnvironmentUnfit(
            f"the file needs {shown(needed)} more of disk, and {shown(room + _RESERVE)} are free",
            where=str(part.path.parent),
            remedy="free space there, or choose another folder with --assets-dir",
        )


def _room(part: Part) -> int:
    """Bytes that may still be written to the part's disk."""
    return shutil.disk_usage(part.path.parent).free - _RESERVE


def _total(response: requests.Response) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match["total"]) if match and match["total"] != "*" else None


def _first(response: requests.Response) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match["first"]) if match and match["first"] else None


def _length(response: requests.Response) -> int | None:
    return number_in(response.headers.get("Content-Length", ""))


def _retry_after(response: requests.Response) -> float | None:
    return number_in(response.headers.get("Retry-After", ""))


def reason_of(error: BaseException) -> str:
    """Give the innermost reason in words: requests and urllib3 wrap it several times."""
    inner: Any = error
    for _ in range(6):
        reason = getattr(inner, "reason", None)
        wrapped = reason if isinstance(reason, BaseException) else next(iter(getattr(inner, "args", ())), None)
        if not isinstance(wrapped, BaseException):
            break
        inner = wrapped
    text = re.sub(r"<[^>]*>: |^\w+\([^)]*\): ", "", str(inner)).strip()
    return text or type(inner).__name__
