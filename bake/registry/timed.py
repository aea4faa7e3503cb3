"""HTTP connections whose answers have a time for the whole of them: a byte now and then prolongs nothing."""

from __future__ import annotations

import math
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.request import HTTPHandler, HTTPSHandler

from bake.sockets import TlsSocket, timed

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPResponse
    from urllib.request import Request


class _PlainConnection(HTTPConnection):
    def __init__(self, *positional: Any, until: float, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._until = until

    def connect(self) -> None:
        super().connect()
        self.sock = timed(self.sock, self._until)


class _TlsConnection(HTTPSConnection):
    def __init__(self, *positional: Any, until: float, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._until = until

    def connect(self) -> None:
        super().connect()
        made: Any = self.sock  # the context makes it a timed one
        made.until = self._until


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
    context.sslsocket_class = TlsSocket
    return _Http(), _Https(context)


def give_until(request: Request, moment: float) -> None:
    """Say until when, on the monotonic clock, the answer to a request has to be there."""
    request.until = moment  # type: ignore[attr-defined]


def until(request: Request) -> float:
    """Tell what ``give_until`` said; without it there is no end."""
    return getattr(request, "until", math.inf)
