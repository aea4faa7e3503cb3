"""Sockets that are read until a moment, and no longer: a byte now and then prolongs nothing."""

from __future__ import annotations

import math
import socket
import ssl
import time
from typing import Any

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


class PlainSocket(_Timed, socket.socket):
    """One without TLS."""


class TlsSocket(_Timed, ssl.SSLSocket):
    """One with TLS: what a context makes that has it as its ``sslsocket_class``."""


def timed(plain: socket.socket, until: float) -> PlainSocket:
    """Make a timed socket of a connected one, which is used up."""
    timeout = plain.gettimeout()
    made = PlainSocket(fileno=plain.detach())
    made.settimeout(timeout)
    made.until = until
    return made
