"""HTTP connections whose answers have a time for the whole of them: a byte now and then prolongs nothing."""

from __future__ import annotations

import math
import socket
import ssl
import time
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.request import HTTPHandler, HTTPSHandler

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import Request


_TRICKLES = "its answer trickles in"


class _Timed:
    """Lets a socket read until a moment of the monotonic clock, and no longer, however steadily little arrives."""

    until = math.inf

    def recv_into(self, *arguments: Any) -> int:
        sock: Any = self
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError(_TRICKLES)
        if last := left < (sock.gettimeout() or math.inf):
            sock.settimeout(left)
        try:
            count: int = super().recv_into(*arguments)  # type: ignore[misc]
        except TimeoutError:
            if last:
                raise TimeoutError(_TRICKLES) from None
            raise
        return count


class _PlainSocket(_Timed, socket.socket):
    pass


class _TlsSocket(_Timed, ssl.SSLSocket):
    pass


class _PlainConnection(HTTPConnection):
    def __init__(self, *positional: Any, until: float, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._until = until

    def connect(self) -> None:
        super().connect()
        timed = _PlainSocket(fileno=self.sock.detach())
        timed.settimeout(self.timeout)
        timed.until = self._until
        self.sock = timed


class _TlsConnection(HTTPSConnection):
    def __init__(self, *positional: Any, until: float, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._until = until

    def connect(self) -> None:
        super().connect()
        timed: Any = self.sock  # the context makes it one
        timed.until = self._until


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        connection: Any = partial(_PlainConnection, until=until(req))
        return self.do_open(connection, req)


class _Https(HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trusting = context

    def https_open(self, req: Request) -> HTTPResponse:
        connection: Any = partial(_TlsConnection, until=until(req))
        return self.do_open(connection, req, context=self._trusting)


def handlers(context: ssl.SSLContext) -> tuple[HTTPHandler, HTTPSHandler]:
    """Give what opens addresses of http and https; answers have until the moment that their request was given."""
    context.sslsocket_class = _TlsSocket
    return _Http(), _Https(context)


def give_until(request: Request, moment: float) -> None:
    """Say until when, on the monotonic clock, the answer to a request has to be there."""
    request.until = moment  # type: ignore[attr-defined]


def until(request: Request) -> float:
    """Tell what ``give_until`` said; without it there is no end."""
    return getattr(request, "until", math.inf)
