"""What went over the wire: the requests that a registry or a proxy saw, and what they add up to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

_NAME = re.compile(r"^/v2/(?P<name>.+?)/(?P<part>blobs/uploads|blobs|manifests|tags)/")
# Combined log format: ADDRESS - USER [TIME] "METHOD PATH PROTOCOL" STATUS BYTES "REFERER" "AGENT"
_LINE = re.compile(r'^\S+ - \S+ \[[^]]*\] "(?P<method>[A-Z]+) (?P<path>\S+) [^"]*" (?P<status>\d+) (?P<sent>\d+)')


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: ``received`` and ``sent`` are bytes of bodies; status 0: it was cut off before an answer."""

    method: str
    path: str
    status: int
    received: int = 0
    sent: int = 0
    fault: str = ""

    @property
    def repository(self) -> str:
        found = _NAME.match(self.path)
        return found["name"] if found else ""

    @property
    def part(self) -> str:
        """Of the registry's interface: blobs/uploads, blobs, manifests, tags, or ''."""
        found = _NAME.match(self.path)
        return found["part"] if found else ""

    @property
    def query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def digest(self) -> str:
        """The blob or manifest that it is about; '' for none, and for a manifest by tag."""
        last = urlsplit(self.path).path.rsplit("/", 1)[-1]
        return self.query.get("digest", last if last.startswith("sha256:") else "")


class Traffic:
    """Requests, and what one asks of them. Bytes of uploads count bodies only."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self.requests = tuple(requests)

    def of(self, repository: str) -> Traffic:
        """The part that concerns one repository."""
        return self._where(lambda request: request.repository == repository)

    @property
    def uploads(self) -> Traffic:
        """Requests that brought a whole blob into the registry."""
        return self._where(lambda request: request.method == "PUT" and request.part == "blobs/uploads" and _ok(request))

    @property
    def uploaded_bytes(self) -> dict[str, int]:
        """Bytes of blobs that were sent, whole or in part, by repository."""
        sums: Counter[str] = Counter()
        for request in self.requests:
            if request.part == "blobs/uploads":
                sums[request.repository] += request.received
        return {name: count for name, count in sums.items() if count}

    @property
    def mounts(self) -> Traffic:
        """Blobs that the registry took from another repository of its own, without any bytes."""
        return self._where(
            lambda request: request.method == "POST" and "mount" in request.query and request.status == 201
        )

    @property
    def refused_mounts(self) -> Traffic:
        """Mounts that were asked for and had to be uploaded instead."""
        return self._where(
            lambda request: request.method == "POST" and "mount" in request.query and request.status == 202
        )

    @property
    def found(self) -> Traffic:
        """HEAD requests for a blob that was there: nothing has to be sent."""
        return self._where(lambda request: request.method == "HEAD" and request.part == "blobs" and _ok(request))

    @property
    def pulls(self) -> Traffic:
        """Blobs that were fetched."""
        return self._where(lambda request: request.method == "GET" and request.part == "blobs" and _ok(request))

    @property
    def pulled_bytes(self) -> int:
        return sum(request.sent for request in self.pulls.requests)

    @property
    def tagged(self) -> tuple[str, ...]:
        """Tags that were written, as repository:tag, in order."""
        written = self._where(lambda request: request.method == "PUT" and request.part == "manifests" and _ok(request))
        return tuple(
            f"{request.repository}:{request.path.rsplit('/', 1)[-1]}"
            for request in written.requests
            if not request.digest
        )

    @property
    def faults(self) -> Traffic:
        """Requests that a fault befell."""
        return self._where(lambda request: request.fault != "")

    def __len__(self) -> int:
        return len(self.requests)

    def _where(self, fits: Callable[[Request], bool]) -> Traffic:
        return Traffic(request for request in self.requests if fits(request))


def read_access_log(text: str, size_of: Callable[[str], int]) -> Traffic:
    """Read a registry's access log; it has no sizes of uploads, so ``size_of`` gives them by digest."""
    found = []
    for line in text.splitlines():
        entry = _LINE.match(line)
        if entry is None:
            continue
        request = Request(
            method=entry["method"],
            path=entry["path"],
            status=int(entry["status"]),
            sent=int(entry["sent"]),
        )
        if request.method == "PUT" and request.part == "blobs/uploads" and _ok(request):
            request = Request(**{**vars(request), "received": size_of(request.digest)})
        found.append(request)
    return Traffic(found)


def _ok(request: Request) -> bool:
    return 200 <= request.status < 300
