"""What networks and registries do to a push, as rules for the proxy."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.engine.network import http1

UPLOADS = "/blobs/uploads/"
WRITES = "POST|PUT|PATCH"


@dataclass(kw_only=True)
class Fault:
    """A rule: which requests it befalls, and what happens to them.

    Args:
        name: for tables. method, path: what to look for, as regular expressions. skip: requests that fit and are left
            alone at first. times: how many are befallen, None for all. over: only bodies of more bytes than that.
        answer: this instead of what the registry says. cut_after: the connection is reset after so many bytes of the
            request's body. cut_answer_after: the same for the answer's. rate: bytes a second, both ways.
        spread: for so many seconds from the first on, it befalls every request.
        call: called when ``call_after`` bytes of the request's body went by; the request goes on.
    """

    name: str
    method: str = ".*"
    path: str = ""
    skip: int = 0
    times: int | None = 1
    over: int = -1
    answer: bytes | None = None
    cut_after: int | None = None
    cut_answer_after: int | None = None
    rate: int | None = None
    spread: float = 0
    call: Callable[[], None] | None = None
    call_after: int = 0
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)
    until: float = field(default=0, init=False)

    def befalls(self, head: http1.Head) -> bool:
        """Count a request that fits, and tell whether it is its turn."""
        if time.monotonic() < self.until:
            self.struck += 1
            return True
        method, path, *_ = head.words
        if not re.fullmatch(self.method, method) or not re.search(self.path, path) or head.length <= self.over:
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.struck >= self.times):
            return False
        self.struck += 1
        if self.spread:
            self.until, self.times = time.monotonic() + self.spread, 0
        return True


class Faults:
    """The rules in force; the first that fits counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: tuple[Fault, ...] = ()

    def set(self, *rules: Fault) -> None:
        with self._lock:
            self._rules = rules

    def pick(self, head: http1.Head) -> Fault | None:
        with self._lock:
            return next((rule for rule in self._rules if rule.befalls(head)), None)


class Pace:
    """Keeps a stream to a rate, as a slow link does."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._began = time.monotonic()
        self._count = 0

    def passed(self, count: int) -> None:
        if self._rate is None:
            return
        self._count += count
        time.sleep(max(0.0, self._began + self._count / self._rate - time.monotonic()))


def reset_upload(*, after: int, times: int | None = 1, over: int = 0) -> Fault:
    """The connection is reset in the middle of a blob."""
    return Fault(
        name="connection reset mid-blob",
        method="PUT|PATCH",
        path=UPLOADS,
        over=max(over, after),
        cut_after=after,
        times=times,
    )


def server_errors(
    *, times: int | None, status: int = 500, path: str = UPLOADS, method: str = "POST|PUT|PATCH"
) -> Fault:
    """The registry, or what stands before it, answers with an error of its own."""
    reason = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}[status]
    said = http1.answer(status, reason, f"{status} {reason}\n")
    return Fault(name=f"{status} {reason}", method=method, path=path, times=times, answer=said)


def too_many_requests(*, seconds: int) -> Fault:
    """From the first blob on every request gets a 429 with Retry-After, for so many seconds."""
    said = http1.answer(429, "Too Many Requests", "slow down\n", {"retry-after": str(seconds)})
    return Fault(
        name=f"429 with Retry-After: {seconds}", method="PUT|PATCH", path=UPLOADS, answer=said, spread=float(seconds)
    )


def too_large(limit: int) -> Fault:
    """A gateway that takes no bodies above a size, as nginx with ``client_max_body_size``."""
    said = http1.answer(413, "Request Entity Too Large", "<h1>413 Request Entity Too Large</h1>\n", close=True)
    return Fault(name=f"413 above {limit} bytes", method="PUT|PATCH", path=UPLOADS, over=limit, times=None, answer=said)


def slow_uploads(rate: int) -> Fault:
    """A link that takes so many bytes a second (each connection)."""
    return Fault(name=f"slow link, {rate} bytes/s", method="PUT|PATCH", path=UPLOADS, times=None, rate=rate)


def during_upload(call: Callable[[], None], *, after: int, name: str, rate: int | None = None) -> Fault:
    """Something happens in the middle of a blob, once."""
    return Fault(
        name=name, method="PUT|PATCH", path=UPLOADS, over=after, call=call, call_after=after, rate=rate, times=1
    )
