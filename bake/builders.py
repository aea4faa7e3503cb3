"""Buildx builders: what there is, made and removed.

Facts come from ``buildx inspect`` of the one builder. python-on-whales' ``inspect`` lists all of them to find one: each
node of any builder that does not answer costs up to 20 s, and it leaves the garbage collection's limits out.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.builder_facts import BuilderFacts, NodeFacts, parse_inspect
from bake.client import require_docker
from generator.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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


def require(name: str | None, *, remedy: str = "") -> BuilderFacts:
    """Ask buildx about a builder that has to be there.

    Raises:
        EnvironmentUnfit: it is not; ``remedy`` says how it is made.
    """
    found = look_up(name)
    if found is None:
        raise EnvironmentUnfit(
            f"there is no builder {name}",
            remedy=remedy or "choose another (--builder; `builder ls` lists them), or make it: docker buildx create",
        )
    return found


def manifest_digest(image: str) -> str | None:
    """Ask an image's registry for its digest, with the login that docker has stored; None where it gives none."""
    try:
        told = _buildx("imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image).strip()
    except EnvironmentUnfit:
        return None
    return told if told.startswith("sha256:") else None


def create(plan: Mapping[str, Any]) -> None:
    """Make a builder, one call for each of its nodes.

    Args:
        plan: ``generator.building.BuilderPlan.as_data()``.

    Raises:
        EnvironmentUnfit: buildx refuses; what was made of it is gone again.
    """
    from python_on_whales import DockerClient, DockerException

    require_docker()
    docker = DockerClient()
    try:
        with _config_file(plan["config"]) as config:
            for number, node in enumerate(plan["nodes"]):
                docker.buildx.create(
                    node["endpoint"],
                    name=plan["name"],
                    driver=plan["driver"],
                    append=number > 0,
                    config=config,
                    platforms=list(node["platforms"]) or None,
                    driver_options=csv_fields(node["options"]),
                )
    except DockerException as error:
        if number > 0:
            remove(plan["name"])
        raise EnvironmentUnfit(
            f"buildx can't make the builder: {last_line(error.stderr or str(error))}",
            where=plan["name"],
            remedy="mend the [builder] table, or what it names",
        ) from None


def csv_fields(options: Mapping[str, str]) -> dict[str, str]:
    """Quote options for ``--driver-opt``, which buildx reads as a row of CSV; python-on-whales only joins them."""
    quoted: dict[str, str] = {}
    for key, value in options.items():
        if set(value) & set(',"\n'):
            quoted[f'"{key}'] = value.replace('"', '""') + '"'
        else:
            quoted[key] = value
    return quoted


@contextmanager
def _config_file(text: str) -> Iterator[Path | None]:
    if not text:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="uplift-builder-") as folder:
        file = Path(folder) / "buildkitd.toml"
        file.write_text(text, encoding="utf-8")
        yield file


def boot(name: str) -> BuilderFacts:
    """Start the builder's BuildKit where it does not run yet, and wait for it.

    Raises:
        EnvironmentUnfit: it does not start, or does not answer.
    """
    return parse_inspect(_buildx("inspect", "--bootstrap", name))


def remove(name: str, *, keep_state: bool = False) -> None:
    """Remove a builder, with its BuildKit; ``keep_state`` leaves the volume of a docker-container's cache.

    Raises:
        EnvironmentUnfit: buildx can't.
    """
    _buildx("rm", *(["--keep-state"] if keep_state else []), name)


def every() -> list[BuilderFacts]:
    """List all builders, each of their nodes asked: this may take 20 s where one does not answer.

    Raises:
        EnvironmentUnfit: there is no docker or buildx.
    """
    found: dict[str, BuilderFacts] = {}
    for line in _buildx("ls", "--format", "{{json .}}").splitlines():
        row = json.loads(line)
        nodes = tuple(
            NodeFacts(
                name=str(node.get("Name", "")),
                endpoint=str(node.get("Endpoint", "")),
                status=str(node.get("Status", "")),
                version=str(node.get("Version", "")).removeprefix("v"),
                platforms=tuple(node.get("Platforms") or ()),
            )
            for node in row.get("Nodes") or ()
        )
        found[row["Name"]] = BuilderFacts(
            name=row["Name"], driver=str(row.get("Driver", "")), nodes=nodes, current=bool(row.get("Current"))
        )
    return list(found.values())


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
