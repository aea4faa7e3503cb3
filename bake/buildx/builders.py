"""Buildx builders: what buildx knows of them, and their start.

Facts come from ``buildx inspect`` of the one builder. python-on-whales' ``inspect`` lists all of them to find one: each
node of any builder that does not answer costs up to 20 s, and it leaves the garbage collection's limits out.
"""

from __future__ import annotations

import subprocess

from bake.buildx.builder_facts import BuilderFacts, parse_inspect
from bake.buildx.client import require_docker
from bake.errors import EnvironmentUnfit


def look_up(name: str | None) -> BuilderFacts | None:
    """Ask buildx about a builder, or about the current one; None when there is none of that name.

    Raises:
        EnvironmentUnfit: there is no docker or buildx, or it fails for another reason.
    """
    try:
        return parse_inspect(_buildx("inspect", *([name] if name else [])))
    except EnvironmentUnfit as error:
        if "no builder" in error.message or "not found" in error.message:
            return None
        raise


def require(name: str | None) -> BuilderFacts:
    """Ask buildx about a builder that has to be there.

    Raises:
        EnvironmentUnfit: it is not.
    """
    found = look_up(name)
    if found is None:
        raise EnvironmentUnfit(
            f"there is no builder {name}",
            remedy="choose another (--builder; `docker buildx ls` lists them), or make it: see docs/builders.md",
        )
    return found


def manifest_digest(image: str) -> str | None:
    """Ask an image's registry for its digest, with the login that docker has stored; None where it gives none."""
    try:
        told = _buildx("imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image).strip()
    except EnvironmentUnfit:
        return None
    return told if told.startswith("sha256:") else None


def boot(name: str) -> None:
    """Start the builder's BuildKit where it does not run yet, and wait for it.

    Raises:
        EnvironmentUnfit: it does not start, or does not answer.
    """
    _buildx("inspect", "--bootstrap", name)


def last_line(text: str) -> str:
    """Give the line of buildx's output that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith("ERROR:")]
    return (wrong or lines or ["no reason given"])[-1].removeprefix("ERROR:").strip()


def _buildx(*arguments: str) -> str:
    require_docker()
    done = subprocess.run(["docker", "buildx", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentUnfit(
            f"{last_line(done.stderr)}",
            where=f"docker buildx {' '.join(arguments)}",
            remedy="`docker buildx ls` shows the builders that are there",
        )
    return done.stdout
