"""Runs one container in the foreground: its output as it comes, Ctrl-C stops it, its exit status comes back."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from bake.engine.gpu_access import Access
from bake.errors import EnvironmentUnfit, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    import docker
    from docker.models.containers import Container

LABEL = "io.image-uplift.run"
GRACE = 15  # seconds between asking a container to end and ending it


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of this machine, and where it appears in the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, kw_only=True)
class ContainerRequest:
    """What to run.

    Args:
        gpu: how the engine gives GPUs; NONE: the container gets none. labels: for whoever looks for it.
    """

    image: str
    arguments: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    gpu: Access = Access.NONE
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_command(self) -> list[str]:
        """The same as a ``docker run`` command line."""
        command = ["docker", "run", "--rm", "--init"]
        if self.gpu is Access.CDI:
            command += ["--device", "nvidia.com/gpu=all"]
        elif self.gpu is not Access.NONE:
            command += ["--gpus", "all"]
        for mount in self.mounts:
            read_only = ",readonly" if mount.read_only else ""
            command += ["--mount", f"type=bind,source={mount.source},target={mount.target}{read_only}"]
        first, *rest = self.entrypoint or ("",)
        command += ["--entrypoint", first] if first else []
        return [*command, self.image, *rest, *self.arguments]


def run_container(client: docker.DockerClient, request: ContainerRequest) -> int:
    """Run to the end and remove the container; returns its exit status.

    Raises:
        EnvironmentUnfit: the engine could not start it. Interrupted: Ctrl-C or SIGTERM; the container is stopped.
    """
    from docker.errors import APIError

    with _terminable():
        container = None
        try:
            container = _create(client, request)
            output = container.attach(stdout=True, stderr=True, stream=True, demux=not _on_terminal(), logs=True)
            container.start()
            _fit_terminal(container)
            _copy(output, tty=_on_terminal())
            return int(container.wait()["StatusCode"])
        except APIError as error:
            raise _not_started(error, request) from None
        except (KeyboardInterrupt, Interrupted):
            if container is not None:
                _stop(container)
            raise Interrupted("interrupted; the container is stopped and removed") from None
        finally:
            if container is not None:
                _remove(container)


def _create(client: docker.DockerClient, request: ContainerRequest) -> Container:
    named: dict[str, Any] = {}
    if request.entrypoint:
        named["entrypoint"] = list(request.entrypoint)
    return client.containers.create(
        request.image,
        list(request.arguments),
        mounts=binds(request.mounts),
        device_requests=devices(request.gpu),
        labels=dict(request.labels),
        init=True,  # PID 1 of most images ignores signals: Ctrl-C would wait for the kill
        tty=_on_terminal(),
        **named,
    )


def binds(mounts: Iterable[Mount]) -> list[Any]:
    """Mounts as docker's SDK takes them."""
    from docker.types import Mount as Bind

    return [
        Bind(target=mount.target, source=str(mount.source), type="bind", read_only=mount.read_only) for mount in mounts
    ]


def devices(gpu: Access) -> list[Any]:
    """All GPUs, as docker's SDK asks an engine for them; nothing where it gives none."""
    from docker.types import DeviceRequest

    if gpu is Access.NONE:
        return []
    if gpu is Access.CDI:
        return [DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])]
    return [DeviceRequest(count=-1, capabilities=[["gpu"]])]


def _on_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty()


def _fit_terminal(container: Container) -> None:
    """Give the container's terminal the size of this one."""
    from docker.errors import APIError

    if _on_terminal():
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        with suppress(APIError):  # a short program has ended already
            container.resize(lines, columns)


def _copy(output: Any, *, tty: bool) -> None:
    """Copy as it comes; without a terminal the container's two streams stay two."""
    for block in output:
        pair = (block, None) if tty else block
        for data, stream in zip(pair, (sys.stdout.buffer, sys.stderr.buffer), strict=True):
            if data:
                _write(stream, data)


def _write(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)
    stream.flush()


def _stop(container: Container) -> None:
    """Ask it to end, and end it after a grace; a second Ctrl-C ends it at once."""
    from docker.errors import APIError

    with suppress(APIError):
        try:
            container.stop(timeout=GRACE)
        except (KeyboardInterrupt, Interrupted):
            container.kill()


def _remove(container: Container) -> None:
    from docker.errors import APIError

    with suppress(APIError):
        container.remove(force=True, v=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _not_started(error: Any, request: ContainerRequest) -> EnvironmentUnfit:
    text = str(error.explanation or error)
    remedy = "mend what the engine says"
    if "could not select device driver" in text or "nvidia" in text.lower():
        remedy = "install the NVIDIA Container Toolkit and restart the engine, or run with --device cpu"
    elif "docker-init" in text:
        remedy = "install the engine's docker-init (package tini-static or docker-ce)"
    return EnvironmentUnfit(f"the engine could not start the container: {text}", where=request.image, remedy=remedy)
