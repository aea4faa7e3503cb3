"""Runs one container to its end, and gives what it wrote."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import docker


class NotRun(Exception):
    """The engine could not run a container; what it said."""


@dataclass(frozen=True, kw_only=True)
class Captured:
    """How a container ended, and what it wrote."""

    status: int
    stdout: str
    stderr: str


def run_captured(client: docker.DockerClient, image: str, request: dict[str, Any], *, timeout: float) -> Captured:
    """Run a container to its end and remove it.

    Args:
        request: what it is made of, as docker's SDK takes it. timeout: seconds that it may take.

    Raises:
        NotRun: the engine could not run it.
    """
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    made = None
    try:
        made = client.containers.create(image, **request)
        made.start()
        status = int(made.wait(timeout=timeout)["StatusCode"])
        streams = (made.logs(stdout=True, stderr=False), made.logs(stdout=False, stderr=True))
        out, err = (stream.decode(errors="replace") for stream in streams)
    except (DockerException, RequestException) as error:
        raise NotRun(str(getattr(error, "explanation", None) or error)) from None
    finally:
        if made is not None:
            with suppress(APIError):
                made.remove(force=True, v=True)
    return Captured(status=status, stdout=out, stderr=err)
