"""Facts about the Docker Engine that will do the build: asked once, told as plain values.

``docker`` and ``python_on_whales`` are imported inside the functions: they cost 0.2 to 0.4 s each.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bake.address import shown
from bake.errors import EnvironmentUnfit
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import docker

# Rendered Dockerfiles have no `# syntax=` line (fetching a frontend needs the network), so the engine's own one has to
# know named contexts, heredocs, COPY --link (syntax 1.4) and ADD --checksum (syntax 1.6: BuildKit 0.12, Engine 25).
MINIMAL_ENGINE = (25, 0)
# 0.20 is the first buildx that enforces bake's file system entitlements (--allow=fs.read=…), which the driver passes;
# rawjson progress came with 0.13.
MINIMAL_BUILDX = (0, 20)
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_TIMEOUT = 10  # seconds
_TIMEOUT_OF_CHANGES = 300  # seconds; names and layers change hands only when the engine's disk is done with other work


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """The engine: versions as it prints them; memory and free disk in bytes, None when it runs elsewhere.

    ``insecure``: registries that may go without TLS, as ``host[:port]`` or as network.
    """

    host: str
    version: str
    containerd_store: bool
    storage_driver: str
    data_root: str
    free_disk: int | None
    cpus: int
    memory: int
    architecture: str
    insecure: tuple[str, ...] = ()
    rootless: bool = False


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """An image on the engine: ``digest`` is the manifest's, None when it never came from a registry or store.

    ``user``, ``environment`` (``NAME=value``), ``created`` (RFC 3339) and ``triggers`` (``ONBUILD``) are those of its
    configuration.
    """

    reference: str
    id: str
    digest: str | None
    size: int
    layers: tuple[str, ...]
    architecture: str
    user: str = ""
    environment: tuple[str, ...] = ()
    created: str = ""
    triggers: tuple[str, ...] = ()


def connect(context: str | None = None) -> docker.DockerClient:
    """Connect to the engine that the docker command line would use: DOCKER_HOST, or the current context.

    Args:
        context: the docker context of another engine.

    Raises:
        EnvironmentUnfit: nothing answers, or this user may not ask.

    """
    import docker
    from docker.errors import DockerException

    host = engine_host(context)
    try:
        _knock(host)
        client = docker.DockerClient(base_url=host, timeout=_TIMEOUT, **_tls(host))
        client.ping()
    except (DockerException, OSError, ValueError) as error:
        raise _unreachable(host, error) from None
    return client


def engine_host(context: str | None = None) -> str:
    """Address of the engine, as a docker context, DOCKER_HOST or the current context gives it."""
    if os.environ.get("DOCKER_HOST") and context is None:
        return os.environ["DOCKER_HOST"]
    from docker.context import ContextAPI

    found = ContextAPI.get_context(context or os.environ.get("DOCKER_CONTEXT") or None)
    host = getattr(found, "Host", None) if found is not None else None
    return str(host).replace("http+unix://", "unix://") if host else "unix:///var/run/docker.sock"


def engine_facts(client: docker.DockerClient, *, context: str | None = None) -> EngineFacts:
    """Ask the engine about itself; ``context`` as for ``connect``."""
    info: dict[str, Any] = client.info()
    host = engine_host(context)
    root = str(info.get("DockerRootDir", ""))
    status = [" ".join(map(str, pair)) for pair in info.get("DriverStatus") or ()]
    return EngineFacts(
        host=shown(host),
        version=str(info.get("ServerVersion", "")),
        containerd_store=any("io.containerd.snapshotter" in line for line in status),
        storage_driver=str(info.get("Driver", "")),
        data_root=root,
        free_disk=_free(root, "/var/lib/containerd") if host.startswith("unix://") else None,
        cpus=int(info.get("NCPU", 0)),
        memory=int(info.get("MemTotal", 0)),
        architecture=str(info.get("Architecture", "")),
        insecure=_insecure(info.get("RegistryConfig") or {}),
        rootless=any("rootless" in str(option) for option in info.get("SecurityOptions") or ()),
    )


def _insecure(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Read what the engine says of ``insecure-registries``: networks, and hosts by name."""
    hosts = [name for name, entry in (config.get("IndexConfigs") or {}).items() if not entry.get("Secure", True)]
    return (*map(str, config.get("InsecureRegistryCIDRs") or ()), *hosts)


def require_engine(client: docker.DockerClient, *, context: str | None = None) -> EngineFacts:
    """Make sure that the engine is new enough; ``context`` as for ``connect``.

    Raises:
        EnvironmentUnfit: it is too old; the message says what is needed and what was found.

    """
    return require_new_enough(engine_facts(client, context=context))


def require_new_enough(facts: EngineFacts) -> EngineFacts:
    """Make sure that an engine that was asked is new enough; raises as ``require_engine`` does."""
    if version_of(facts.version) < MINIMAL_ENGINE:
        raise EnvironmentUnfit(
            f"Docker Engine {_text(MINIMAL_ENGINE)} or later is needed, found {facts.version}",
            where=facts.host,
            remedy="update Docker Engine, or run `make engine` (Debian and Ubuntu)",
        )
    return facts


def require_buildx() -> str:
    """Make sure that the docker command line has a buildx that is new enough; returns its version.

    Raises:
        EnvironmentUnfit: there is none, or it is too old.

    """
    needed = f"buildx {_text(MINIMAL_BUILDX)} or later is needed"
    remedy = "install docker-buildx-plugin from Docker's packages, or run `make engine` (Debian and Ubuntu)"
    if shutil.which("docker") is None:
        raise EnvironmentUnfit(f"{needed}, and there is no docker command on PATH", remedy=remedy)
    done = subprocess.run(["docker", "buildx", "version"], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        raise EnvironmentUnfit(f"{needed}, and docker has no buildx", remedy=remedy)
    found = next((word for word in done.stdout.split() if _VERSION.match(word)), "")
    if version_of(found) < MINIMAL_BUILDX:
        raise EnvironmentUnfit(f"{needed}, found {found or 'one without a version'}", remedy=remedy)
    return found


def image_facts(client: docker.DockerClient, reference: str) -> ImageFacts | None:
    """Look at an image on the engine; None when it is not there.

    Raises:
        EnvironmentUnfit: the engine stopped answering.

    """
    from docker.errors import APIError, ImageNotFound

    try:
        image = client.images.get(reference)
    except ImageNotFound:
        return None
    except APIError as error:
        raise EnvironmentUnfit(f"the engine could not look at the image: {error}", where=reference) from None
    attributes: dict[str, Any] = image.attrs or {}
    config: dict[str, Any] = attributes.get("Config") or {}
    digests = [str(item).rpartition("@")[2] for item in attributes.get("RepoDigests") or ()]
    return ImageFacts(
        reference=reference,
        id=str(image.id),
        digest=digests[0] if digests else None,
        size=int(attributes.get("Size", 0)),
        layers=tuple((attributes.get("RootFS") or {}).get("Layers") or ()),
        architecture=str(attributes.get("Architecture", "")),
        user=str(config.get("User") or ""),
        environment=tuple(map(str, config.get("Env") or ())),
        created=str(attributes.get("Created") or ""),
        triggers=tuple(map(str, config.get("OnBuild") or ())),
    )


def folders_in(client: docker.DockerClient, reference: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Tell which of several paths an image has, without running it: in a container that is made and never started.

    None of them is told where the image isn't on the engine, or the engine makes no container.

    Raises:
        EnvironmentUnfit: the engine stopped answering.

    """
    from docker.errors import APIError, ImageNotFound

    api = client.api
    try:
        made = api.create_container(reference, command=["/never-started"], entrypoint=[], network_disabled=True)
    except (ImageNotFound, APIError):
        return ()
    try:
        url = f"{api.base_url}/v{api.api_version}/containers/{made['Id']}/archive"
        return tuple(path for path in paths if api.head(url, params={"path": path}, timeout=_TIMEOUT).ok)
    except OSError as error:
        raise EnvironmentUnfit(f"the engine could not look into the image: {error}", where=reference) from None
    finally:
        with suppress(APIError, OSError):
            api.remove_container(made["Id"], v=True, force=True)


def look_up_image(reference: str, *, context: str | None = None) -> ImageFacts | None:
    """Connect, look at an image, and close the connection; None when the image is not there.

    Args:
        reference: the image. context: the docker context of another engine than the current one.

    Raises:
        EnvironmentUnfit: no engine answers.
    """
    client = connect(context)
    try:
        return image_facts(client, reference)
    finally:
        client.close()


def name_image(digest: str, names: Iterable[str], *, context: str | None = None) -> None:
    """Give an image of the engine names, each of which another image may have had before.

    Args:
        digest: of the image, or its id. names: full names, in the order in which they are given. context: as for
            ``connect``.

    Raises:
        EnvironmentUnfit: the engine does not, or no longer answers.

    """
    from docker.errors import APIError

    client = connect(context)
    client.api.timeout = _TIMEOUT_OF_CHANGES
    try:
        for name in names:
            repository, _, tag = name.rpartition(":")
            try:
                client.api.tag(digest, repository, tag)
            except (APIError, OSError) as error:
                raise EnvironmentUnfit(
                    f"the engine could not name the image: {getattr(error, 'explanation', None) or error}",
                    where=name,
                    remedy="bake again: all is cached",
                ) from None
    finally:
        client.close()


def save_image(reference: str, path: Path) -> None:
    """Write an image of the engine to a file, as ``docker save`` does.

    Raises:
        EnvironmentUnfit: the engine does not have it, or does not answer. OSError: the file can't be written.
    """
    from docker.errors import APIError, ImageNotFound

    client = connect()
    client.api.timeout = _TIMEOUT_OF_CHANGES
    try:
        with path.open("wb") as file:
            for block in client.api.get_image(reference):
                file.write(block)
    except ImageNotFound:
        raise EnvironmentUnfit(
            "this engine does not have it", where=reference, remedy=f"docker pull {reference}"
        ) from None
    except APIError as error:
        raise EnvironmentUnfit(f"the engine could not save the image: {error}", where=reference) from None
    finally:
        client.close()


def load_image(path: Path) -> None:
    """Give the engine the image of a file, as ``docker load`` does.

    Raises:
        EnvironmentUnfit: the engine does not take it, or does not answer. OSError: the file can't be read.
    """
    from docker.errors import APIError

    client = connect()
    client.api.timeout = _TIMEOUT_OF_CHANGES
    try:
        with path.open("rb") as file:
            for answer in client.api.load_image(file):
                if "error" in answer:
                    raise EnvironmentUnfit(f"the engine could not load the image: {answer['error']}", where=str(path))
    except APIError as error:
        raise EnvironmentUnfit(f"the engine could not load the image: {error}", where=str(path)) from None
    finally:
        client.close()


def remove_nameless(digest: str, *, context: str | None = None) -> None:
    """Remove an image of the engine that has no name; one that has a name, or is not there, is left alone.

    Raises:
        EnvironmentUnfit: no engine answers.

    """
    from docker.errors import APIError

    client = connect(context)
    client.api.timeout = _TIMEOUT_OF_CHANGES
    try:
        # An image in use, or gone meanwhile, is no concern of a bake; `clean` lists what is left.
        with suppress(APIError, OSError):
            if not client.api.inspect_image(digest).get("RepoTags"):
                client.api.remove_image(digest, noprune=True)
    finally:
        client.close()


def remove_name(name: str, *, context: str | None = None) -> None:
    """Take a name away, and the image with it unless it has another one; a name that is not there is no matter.

    Raises:
        EnvironmentUnfit: no engine answers, or it does not do it.

    """
    from docker.errors import APIError, ImageNotFound

    client = connect(context)
    client.api.timeout = _TIMEOUT_OF_CHANGES
    try:
        client.api.remove_image(name)
    except ImageNotFound:
        return
    except (APIError, OSError) as error:
        reason = getattr(error, "explanation", None) or error
        raise EnvironmentUnfit(
            f"the engine could not remove the image: {reason}", where=name, remedy="`clean` removes it"
        ) from None
    finally:
        client.close()


def require_disk(facts: EngineFacts, needed: int) -> None:
    """Make sure, before anything starts, that the disk has room.

    Args:
        facts: of the engine. needed: bytes.

    Raises:
        EnvironmentUnfit: less is free; nothing is said of an engine whose disk cannot be seen.

    """
    if facts.free_disk is not None and facts.free_disk < needed:
        raise EnvironmentUnfit(
            f"the bake needs {size(needed)} of disk, and {size(facts.free_disk)} are free",
            where=facts.data_root,
            remedy="free space (`docker system df`, `docker buildx prune`), or move the engine's data-root",
        )


def version_of(text: str) -> tuple[int, ...]:
    """Numbers of a version: ``v0.29.1+ds1`` gives (0, 29, 1); (0,) when there are none."""
    match = _VERSION.search(text)
    return tuple(int(part) for part in match.groups() if part is not None) if match else (0,)


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _free(*folders: str) -> int | None:
    """Bytes free where the engine keeps images and cache (its own containerd included); None when unseen."""
    free: list[int] = []
    for folder in folders:
        with suppress(OSError):
            free.append(shutil.disk_usage(folder).free)
    return min(free, default=None)


def _knock(host: str) -> None:
    """Try a unix socket first: docker-py leaves its own socket open when the connection fails."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(_TIMEOUT)
            knock.connect(host.removeprefix("unix://"))


def _tls(host: str) -> dict[str, Any]:
    """TLS settings of the environment (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH), as docker.from_env reads them."""
    from docker.utils import kwargs_from_env

    settings: dict[str, Any] = kwargs_from_env(environment={**os.environ, "DOCKER_HOST": host})
    return {"tls": settings["tls"]} if settings.get("tls") else {}


def _unreachable(host: str, error: BaseException) -> EnvironmentUnfit:
    if isinstance(error, PermissionError) or "Permission denied" in str(error):
        return EnvironmentUnfit(
            f"this user may not use the Docker Engine at {shown(host)}",
            remedy="add the user to the group `docker` and log in again, or run as root",
        )
    return EnvironmentUnfit(
        f"no Docker Engine answers at {shown(host)}",
        remedy="start it (`make engine`, or systemctl start docker), or point DOCKER_HOST at one",
    )
