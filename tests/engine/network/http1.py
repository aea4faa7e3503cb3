"""HTTP/1.1 messages as they pass through a proxy: heads are read, bodies are streamed and never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

CHUNK = 256 * 1024
_LONGEST_HEAD = 64 * 1024


class Stream(Protocol):
    """What a message is read from."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a request or an answer; names have lower case."""

    first: str
    headers: tuple[tuple[str, str], ...]

    @property
    def words(self) -> list[str]:
        """Of the first line: method, path and version, or version, status and reason."""
        return self.first.split(" ", 2)

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.headers if key == name), default)

    def without(self, *names: str) -> Head:
        return Head(self.first, tuple((key, value) for key, value in self.headers if key not in names))

    @property
    def chunked(self) -> bool:
        return self.get("transfer-encoding").lower() == "chunked"

    @property
    def length(self) -> int:
        """Content-Length; 0 when it does not say."""
        return int(self.get("content-length", "0"))

    @property
    def closes(self) -> bool:
        """Whether the connection ends after this message."""
        return self.get("connection").lower() == "close"

    def encoded(self) -> bytes:
        lines = [self.first, *(f"{key}: {value}" for key, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


def answer(status: int, reason: str, body: str, headers: dict[str, str] | None = None, *, close: bool = False) -> bytes:
    """A whole answer, as a gateway gives it by itself."""
    fields = {"content-type": "text/plain", "content-length": str(len(body.encode())), **(headers or {})}
    if close:
        fields["connection"] = "close"
    return Head(f"HTTP/1.1 {status} {reason}", tuple(fields.items())).encoded() + body.encode()


def read_head(stream: Stream) -> Head | None:
    """Read up to the empty line; None when the other side has closed the connection."""
    lines: list[str] = []
    size = 0
    while line := stream.readline(_LONGEST_HEAD):
        size += len(line)
        text = line.decode("latin-1").rstrip("\r\n")
        if text:
            lines.append(text)
        elif lines:
            break
        if size > _LONGEST_HEAD:
            raise ConnectionError("a head without an end")
    else:
        return None
    pairs = (line.partition(":") for line in lines[1:])
    return Head(lines[0], tuple((name.strip().lower(), value.strip()) for name, _, value in pairs))


def pieces(stream: Stream, head: Head, *, until_close: bool = False) -> Iterator[tuple[bytes, int]]:
    """Stream a body as it is on the wire: bytes to pass on, and how many of them are content.

    Raises:
        ConnectionError: the sender went away in the middle.
    """
    if head.chunked:
        yield from _chunks(stream)
    elif until_close and not head.get("content-length"):
        while piece := stream.read(CHUNK):
            yield piece, len(piece)
    else:
        for piece in _exactly(stream, head.length):
            yield piece, len(piece)


def _chunks(stream: Stream) -> Iterator[tuple[bytes, int]]:
    while True:
        line = stream.readline(_LONGEST_HEAD)
        if not line:
            raise ConnectionError("cut off between chunks")
        yield line, 0
        size = int(line.split(b";")[0], 16)
        for piece in _exactly(stream, size):
            yield piece, len(piece)
        if size:
            yield stream.readline(), 0
            continue
        while (line := stream.readline(_LONGEST_HEAD)).strip():  # trailers
            yield line, 0
        yield line, 0
        return


def _exactly(stream: Stream, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = stream.read(min(left, CHUNK))
        if not piece:
            raise ConnectionError(f"cut off {left} bytes before the end")
        left -= len(piece)
        yield piece
