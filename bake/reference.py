"""Image references: ``[registry/]repository[:tag][@digest]``.

The grammar is that of github.com/distribution/reference (regexp.go and reference.go); Docker's short names follow its
normalize.go: no registry means docker.io, a single-part name there means library/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from bake.address import quoted
from bake.errors import UsageError

DEFAULT_REGISTRY = "docker.io"
_NAME_LENGTH = 255
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY = re.compile(_HOST)
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")  # go-digest


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference in its full form."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_reference(text: str, *, where: str | None = None) -> Reference:
    """Parse an image reference.

    Args:
        text: such as ``pbfslab/deepprep:25.1.0`` or ``localhost:5000/a/b@sha256:…``.
        where: the place it comes from, for the message.

    Raises:
        UsageError: it is not a valid reference; the message says which part is wrong.

    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        advice = "a digest is sha256: and 64 hexadecimal digits; `docker login` keeps logins, no name has one in it"
        raise _wrong(text, f"{quoted(digest)} is not a digest", advice, where)
    registry, repository = _split_registry(rest)
    tag: str | None = None
    if ":" in repository:
        repository, _, tag = repository.rpartition(":")
        check_tag(tag, where=where, shown=text)
    if registry and not _REGISTRY.fullmatch(registry):
        raise _wrong(text, f"{quoted(registry)} is not a registry host", "write host or host:port", where)
    if not _REPOSITORY.fullmatch(repository):
        advice = "a repository has lower-case letters, digits, and single . _ - between them, parts divided by /"
        raise _wrong(text, f"{quoted(repository)} is not a repository name", advice, where)
    if len(repository) > _NAME_LENGTH:
        raise _wrong(text, f"the repository name is longer than {_NAME_LENGTH}", "shorten it", where)
    if registry in ("", "index.docker.io"):
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(registry=registry, repository=repository, tag=tag, digest=digest or None)


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest."""
    return _DIGEST.fullmatch(text) is not None


def check_tag(tag: str, *, where: str | None = None, shown: str | None = None) -> str:
    """Return a valid tag as it is.

    Raises:
        UsageError: it is not a tag.

    """
    if not _TAG.fullmatch(tag):
        advice = "a tag has up to 128 letters, digits, . _ and -, and does not start with . or -"
        raise _wrong(shown or tag, f"{quoted(tag)} is not a tag", advice, where)
    return tag


def parse_registry(text: str, *, where: str | None = None) -> str:
    """Normalise what a user gives as a registry: ``host[:port][/path]`` without scheme and end slash.

    Raises:
        UsageError: it is not a registry.

    """
    bare = re.sub(r"^https?://", "", text.strip()).rstrip("/")
    host, _, path = bare.partition("/")
    if not _REGISTRY.fullmatch(host) or (path and not _REPOSITORY.fullmatch(path)):
        raise UsageError(
            f"{quoted(text)} is not a registry",
            where=where,
            remedy="write host, host:port or host:port/path, in lower case",
        )
    return bare


def is_loopback(registry: str) -> bool:
    """True for localhost and loopback addresses: Docker talks plain HTTP to them when TLS fails."""
    host = registry.partition("/")[0]
    name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _split_registry(name: str) -> tuple[str, str]:
    """The part before the first slash is a registry if it has a dot or colon, capitals, or is localhost."""
    first, slash, rest = name.partition("/")
    if slash and (set(first) & set(".:[") or first == "localhost" or first != first.lower()):
        return first, rest
    return "", name


def _wrong(text: str, message: str, advice: str, where: str | None) -> UsageError:
    return UsageError(f"{quoted(text)} is not a valid image reference: {message}", where=where, remedy=advice)
