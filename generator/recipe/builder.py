"""A buildx builder as a site file or a recipe describes it: the table ``[builder]``.

The sections are named after buildx's drivers, their keys after the drivers' options (docs.docker.com/build/builders/
drivers/), those of ``gc`` and ``registry`` after buildkitd.toml's. ``builder = "name"`` names one that exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from generator.recipe.section import NonEmpty, Section, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

Mistake = tuple[tuple[str | int, ...], str]

_BUILDER = re.compile(r"[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")  # buildx: store.ValidateName
_SPACE = re.compile(r"\d+(?:\.\d+)?\s*(?:[kKmMgGtT](?:i?[bB])?|[bB])?|\d{1,3}%")
_DURATION = re.compile(r"(?:\d+(?:h|m|s))+")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?")
# buildx splits these texts at commas and signs, and knows no way to write one inside a value.
_LABEL = re.compile(r'[^,=;"\s]+')
_LABEL_VALUE = re.compile(r'[^,=;"\n]*')

Space = Annotated[str, matches(_SPACE, 'a size such as "60GB" or "75%"')]
Duration = Annotated[str, matches(_DURATION, 'a duration such as "720h"')]
Platform = Annotated[str, matches(_PLATFORM, 'a platform such as "linux/amd64"')]
Label = Annotated[str, matches(_LABEL, "a key that buildx can pass on: no blanks and none of , = ; and quotes")]
LabelValue = Annotated[str, matches(_LABEL_VALUE, "a value that buildx can pass on: none of , = ; and quotes")]
Labels = dict[Label, LabelValue]
Platforms = Annotated[tuple[Platform, ...], Field(strict=False)]


class DockerContainer(Section):
    """Options of the driver ``docker-container``: BuildKit in a container of an engine."""

    image: NonEmpty | None = None
    network: NonEmpty | None = None
    memory: NonEmpty | None = None
    memory_swap: NonEmpty | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: NonEmpty | None = None
    cpuset_mems: NonEmpty | None = None
    cgroup_parent: NonEmpty | None = None
    restart_policy: NonEmpty | None = None
    env: dict[NonEmpty, str] = Field(default_factory=dict)


class Remote(Section):
    """Options of the driver ``remote``: a BuildKit that runs already; the paths count from the file's folder."""

    cacert: NonEmpty | None = None
    cert: NonEmpty | None = None
    key: NonEmpty | None = None
    servername: NonEmpty | None = None


class Resources(Section):
    """What pods ask for, or may use at most: Kubernetes quantities."""

    cpu: NonEmpty | None = None
    memory: NonEmpty | None = None
    ephemeral_storage: NonEmpty | None = None


class Toleration(Section):
    """A taint that pods bear."""

    key: Label | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(ge=0)] | None = Field(default=None, alias="tolerationSeconds")


class Qemu(Section):
    """Emulation of other platforms in the pods."""

    install: bool | None = None
    image: NonEmpty | None = None


class Kubernetes(Section):
    """Options of the driver ``kubernetes``: BuildKit as a deployment in a cluster."""

    image: NonEmpty | None = None
    namespace: NonEmpty | None = None
    replicas: Annotated[int, Field(gt=0)] | None = None
    requests: Resources = Field(default_factory=Resources)
    limits: Resources = Field(default_factory=Resources)
    nodeselector: Labels = Field(default_factory=dict)
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)
    tolerations: Annotated[tuple[Toleration, ...], Field(strict=False)] = ()
    serviceaccount: NonEmpty | None = None
    schedulername: NonEmpty | None = None
    rootless: bool | None = None
    loadbalance: Literal["sticky", "random"] | None = None
    timeout: Duration | None = None
    qemu: Qemu = Field(default_factory=Qemu)


class Node(Remote):
    """One of several machines of a builder; certificates here come before those of ``[builder.remote]``."""

    endpoint: NonEmpty
    platforms: Platforms = ()


class Gc(Section):
    """What BuildKit may remove by itself.

    Its own default drops cache mounts, git checkouts and local sources that nobody used for 48 hours: the compiler
    cache and a 5.4 GB installer. Here they stay for ``keep-duration``, and nothing goes below ``reserved-space``.
    """

    keep_duration: Duration = "720h"
    reserved_space: Space = "30GB"
    max_used_space: Space = "75%"
    min_free_space: Space = "10%"


class RegistryAccess(Section):
    """How BuildKit talks to one registry; ``ca``: PEM files, which buildx copies into the builder."""

    ca: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    mirrors: Annotated[tuple[NonEmpty, ...], Field(strict=False)] = ()
    http: bool | None = None
    insecure: bool | None = None


class Buildkitd(Section):
    """The daemon's settings, for the drivers that start one."""

    max_parallelism: Annotated[int, Field(gt=0)] | None = None
    gc: Gc = Field(default_factory=Gc)
    registry: dict[NonEmpty, RegistryAccess] = Field(default_factory=dict)


class Description(Section):
    """One builder: its name, and with a driver all that is needed to make it."""

    name: NonEmpty
    driver: Literal["docker-container", "remote", "kubernetes"] | None = None
    endpoint: NonEmpty | None = None
    platforms: Platforms = ()
    nodes: Annotated[tuple[Node, ...], Field(strict=False)] = ()
    docker_container: DockerContainer | None = None
    remote: Remote | None = None
    kubernetes: Kubernetes | None = None
    buildkitd: Buildkitd | None = None


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Builder = Annotated[Description, BeforeValidator(_named)]


def check_builder(builder: Description) -> Iterator[Mistake]:
    """List what is wrong between keys: the path of the key below the table, and the message."""
    sections = {
        "docker-container": builder.docker_container,
        "remote": builder.remote,
        "kubernetes": builder.kubernetes,
    }
    if builder.driver is None:
        given = sorted(builder.model_fields_set - {"name", "driver"})
        for key in given:
            name = key.replace("_", "-")
            yield (name,), f"builder.{name}: needs a driver: {', '.join(sections)}"
        return
    if not _BUILDER.fullmatch(builder.name) or builder.name == "default":
        yield ("name",), f"builder.name: {builder.name!r} is no name for a new builder: letters, digits and . _ -"
    for name, section in sections.items():
        if section is not None and name != builder.driver:
            yield (name,), f'builder.{name}: the driver is "{builder.driver}"; this table is for "{name}"'
    yield from _nodes(builder)
    if builder.driver == "remote" and builder.buildkitd is not None:
        yield (
            ("buildkitd",),
            "builder.buildkitd: a remote BuildKit has settings of its own; buildx can't give it others",
        )


def _nodes(builder: Description) -> Iterator[Mistake]:
    if builder.endpoint and builder.nodes:
        yield ("endpoint",), "builder.endpoint: give either this or [[builder.nodes]]"
    if builder.platforms and builder.nodes:
        yield ("platforms",), "builder.platforms: give them with each of [[builder.nodes]]"
    if builder.driver == "remote" and not (builder.endpoint or builder.nodes):
        yield ("endpoint",), 'builder.endpoint: missing; the address of a BuildKit, such as "tcp://host:1234"'
    if builder.driver == "kubernetes" and builder.endpoint:
        yield ("endpoint",), "builder.endpoint: the cluster is that of the current kubeconfig"
    if builder.driver == "kubernetes" and builder.nodes:
        yield ("nodes",), "builder.nodes: a cluster has replicas: [builder.kubernetes] replicas"
    for index, node in enumerate(builder.nodes):
        for key in sorted(node.model_fields_set & set(Remote.model_fields)):
            if builder.driver != "remote":
                yield ("nodes", index, key), f'builder.nodes.{index}.{key}: only for driver = "remote"'
    if builder.driver == "remote":
        yield from _certificates(builder)


def _certificates(builder: Description) -> Iterator[Mistake]:
    places: list[tuple[tuple[str | int, ...], Remote]] = [(("nodes", i), node) for i, node in enumerate(builder.nodes)]
    for path, holder in places or [(("remote",), builder.remote or Remote())]:
        tls = with_defaults(holder, builder.remote)
        where = f"builder.{'.'.join(map(str, path))}"
        if bool(tls.cert) != bool(tls.key):
            yield path, f"{where}: cert and key go together"
        if (tls.cert or tls.key or tls.servername) and not tls.cacert:
            yield path, f"{where}: cacert is missing; buildx wants it with cert, key or servername"


def with_defaults(node: Remote, shared: Remote | None) -> Remote:
    """Give the certificates of a node: its own, and those of ``[builder.remote]`` for what it does not say."""
    said = {key: getattr(node, key) or getattr(shared, key, None) for key in Remote.model_fields}
    return Remote.model_construct(**said)
