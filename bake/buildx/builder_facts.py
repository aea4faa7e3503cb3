"""What buildx knows of a builder, as plain values; read off what ``docker buildx inspect`` prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bake.reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OWN = "docker"  # the driver that is an engine's own BuildKit; its results are on that engine at once
_FIELD = re.compile(r"^ *(?P<key>[A-Z][\w /#]*?): *(?P<value>.*)$")
_SIZE = re.compile(r"(?P<number>[\d.]+)\s*(?P<unit>[KMGT]?)i?B")
_CERTIFICATE = re.compile(r"(?m)^File#certs/([^/\n]+)/")
_FACTOR = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One node.

    Args:
        kept: bytes that garbage collection leaves to cache mounts and local files, None: not told.
        options: the driver's options as buildx prints them. contained: BuildKit runs in a container of an engine.
        certificates: registries that it was given CAs for, as ``certificate_folder`` writes them.
    """

    name: str
    endpoint: str
    status: str
    version: str = ""
    platforms: tuple[str, ...] = ()
    kept: int | None = None
    error: str = ""
    options: str = ""
    contained: bool = False
    certificates: frozenset[str] = frozenset()

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return self.status == "running"

    @property
    def elsewhere(self) -> bool:
        """Whether its loopback address is not this machine's, as far as can be told."""
        if self.endpoint.startswith("kubernetes:"):
            return True
        if self.endpoint.startswith("tcp://"):
            return not is_loopback(self.endpoint.removeprefix("tcp://"))
        return bool(self.status) and self.contained and 'network="host"' not in self.options


@dataclass(frozen=True, kw_only=True)
class BuilderFacts:
    """A builder, as buildx knows it."""

    name: str
    driver: str
    nodes: tuple[NodeFacts, ...] = ()

    @property
    def own(self) -> bool:
        """Whether it is an engine's own BuildKit: it sees that engine's images, and leaves its results there.

        Buildx tells no driver of an engine that does not answer.
        """
        return self.driver in (OWN, "")

    @property
    def platform(self) -> str:
        """What it builds for unless told otherwise, such as ``linux/arm64``; "" where no node tells."""
        return next((node.platforms[0] for node in self.nodes if node.platforms), "")

    @property
    def context(self) -> str | None:
        """The docker context of the engine whose own it is; None: the current one."""
        endpoint = self.nodes[0].endpoint if self.own and self.nodes else ""
        return endpoint if endpoint not in ("", "default") else None


def parse_inspect(text: str) -> BuilderFacts:
    """Read what ``buildx inspect`` prints: fields of the builder, then a block of fields for each node."""
    head, *blocks = re.split(r"(?m)^(?=Name: )", text)[1:]
    fields = _fields(head)
    contained = fields.get("Driver") == "docker-container"
    nodes = tuple(_node(block, contained=contained) for block in blocks)
    return BuilderFacts(name=fields.get("Name", ""), driver=fields.get("Driver", ""), nodes=nodes)


def _node(block: str, *, contained: bool) -> NodeFacts:
    plain, *policies = re.split(r"(?m)^(?=GC Policy rule#\d+:$|File#)", block)
    files = "".join(part for part in policies if part.startswith("File#"))
    policies = [part for part in policies if part.startswith("GC ")]
    fields = _fields(plain)
    return NodeFacts(
        name=fields.get("Name", ""),
        endpoint=fields.get("Endpoint", ""),
        status=fields.get("Status", ""),
        version=fields.get("BuildKit version", "").removeprefix("v"),
        platforms=tuple(fields["Platforms"].replace("*", "").split(", ")) if fields.get("Platforms") else (),
        kept=_kept([_fields(policy) for policy in policies]),
        error=fields.get("Error", ""),
        options=fields.get("Driver Options", ""),
        contained=contained,
        certificates=frozenset(_CERTIFICATE.findall(files)),
    )


def _kept(policies: Sequence[Mapping[str, str]]) -> int | None:
    """Tell how many bytes the rules leave to cache mounts and local sources: the least of those that touch them."""
    touching = [rule for rule in policies if not rule.get("Filters") or "exec.cachemount" in rule["Filters"]]
    keys = ("Reserved Space", "Keep Bytes", "Max Used Space")
    kept = [_bytes(next((rule[key] for key in keys if rule.get(key)), "")) for rule in touching]
    known = [size for size in kept if size is not None]
    return min(known) if known else None


def _bytes(text: str) -> int | None:
    match = _SIZE.match(text)
    return int(float(match["number"]) * _FACTOR[match["unit"]]) if match else None


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _FIELD.match(line)
        if match:
            found.setdefault(match["key"], match["value"].strip())
    return found


def certificate_folder(host: str) -> str:
    """Give the name of the folder that buildx puts a registry's certificates into (its util/confutil/container.go)."""
    return re.sub(r"[^a-zA-Z0-9.-]+", "_", host)
