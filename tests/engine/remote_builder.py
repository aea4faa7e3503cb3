"""Makes a builder of buildx's driver ``remote``, as docs/builders.md says."""

from __future__ import annotations

from collections.abc import Mapping

from tests.engine.network.processes import run


def create_builder(name: str, *endpoints: str, environment: Mapping[str, str], options: str = "") -> None:
    """Make a builder with a node at each endpoint; none is asked yet.

    Args:
        environment: with a BUILDX_CONFIG or DOCKER_CONFIG of the test's own; the user's builders are left alone.
        options: ``--driver-opt`` of every node.
    """
    for number, endpoint in enumerate(endpoints):
        append = ["--append"] if number else []
        told = [f"--driver-opt={options}"] if options else []
        command = ["docker", "buildx", "create", f"--name={name}", "--driver=remote", *append, *told, endpoint]
        run(*command, environment=environment)
