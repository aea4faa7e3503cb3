"""How a base image is made on this machine: from `contexts/demo-base/`, and folders in place of its lists and sources.

The root filesystem comes from a registry where images can be pulled, and from the distribution's packages elsewhere.
The image carries a hash of all that it is made from in a label, so that a second run is done at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import BuildFailed, EnvironmentUnfit, Interrupted, UpliftError
from generator.console.reporter import Reporter
from lab.demo_rootfs import LABEL, Machine, rootfs_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTEXT = Path(__file__).resolve().parents[1] / "contexts" / "demo-base"
CA_VARIABLES = ("GENERATOR_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
NO_CONTEXTS: Mapping[str, Path] = {}


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """A base image and what it is made from.

    Args:
        tag: its name. target: the stage of the Dockerfile that it is.
        needed_bytes: what must be free before it is made. needed_for: what for. takes: how long that is, in words.
        context: the folder of the Dockerfile. contexts: stage of the Dockerfile -> folder that replaces it.
    """

    tag: str
    target: str
    needed_bytes: int
    takes: str
    needed_for: str = "while it is made"
    context: Path = CONTEXT
    contexts: Mapping[str, Path] = field(default_factory=lambda: NO_CONTEXTS)

    @property
    def inputs(self) -> str:
        """The hash of all that it is made from."""
        return inputs_hash(self.context, *self.contexts.values())


def inputs_hash(*folders: Path) -> str:
    """Hash of the names, modes and bytes of all files under ``folders``: what the image is made from."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            content = path.read_bytes()
            executable = bool(path.stat().st_mode & 0o100)
            digest.update(f"{path.relative_to(folder).as_posix()}\0{executable}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def ca_bundle(environ: Mapping[str, str]) -> Path | None:
    """The CA bundle that builds need, by the variables that the machine's tools read; None: the public CAs do.

    Raises:
        EnvironmentUnfit: GENERATOR_CA_BUNDLE names no readable file.
    """
    for name in CA_VARIABLES:
        value = environ.get(name)
        if not value:
            continue
        if os.access(value, os.R_OK) and Path(value).is_file():
            return Path(value)
        if name == "GENERATOR_CA_BUNDLE":
            raise EnvironmentUnfit(
                f"{value!r} is no readable file", where=name, remedy="name a PEM file of CA certificates, or unset it"
            )
    return None


def build_command(image: BaseImage, *, rootfs: str, bundle: Path | None) -> list[str]:
    """The `docker buildx build` call. zstd: half the bytes on disk and in a registry of the uncompressed layers."""
    command = ["docker", "buildx", "build", "--provenance=false", "--target", image.target]
    command += ["--build-arg", f"ROOTFS={rootfs}", "--label", f"{LABEL}={image.inputs}"]
    for name, folder in image.contexts.items():
        command += ["--build-context", f"{name}={folder}"]
    if bundle:
        command += ["--secret", f"id=ca-bundle,src={bundle}"]
    output = f"type=image,name={image.tag},compression=zstd,compression-level=3"
    return [*command, "--output", output, str(image.context)]


def check_disk(data_root: Path, image: BaseImage) -> None:
    """Check that the engine's disk has room for the image and its making; an engine elsewhere is not checked.

    Raises:
        EnvironmentUnfit: it has not.
    """
    if not data_root.exists():
        return
    free = shutil.disk_usage(data_root).free
    if free < image.needed_bytes:
        needed = f"{image.tag}, {image.needed_for}, needs {image.needed_bytes / 1e9:.0f} GB"
        raise EnvironmentUnfit(
            f"{needed}, and {free / 1e9:.1f} GB are free",
            where=str(data_root),
            remedy="free some, for example with `docker builder prune`",
        )


def build(command: Sequence[str]) -> None:
    """Run the build with its progress on stderr.

    Raises:
        BuildFailed: buildx said no; what it said stands above on stderr.
        Interrupted: the user asked for an end.
    """
    process = subprocess.Popen(command, stdout=sys.stderr)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()  # the terminal's SIGINT reached buildx as well
        raise Interrupted("the build was interrupted", remedy="run it again: finished steps are kept") from None
    if status:
        raise BuildFailed(
            f"`docker buildx build` ended with status {status}; the failing step stands above",
            where="contexts/demo-base/Dockerfile",
            remedy="if it speaks of certificates, set GENERATOR_CA_BUNDLE to your site's CA bundle; then run it again",
        )


def make(image: BaseImage, *, force: bool, machine: Machine, environ: Mapping[str, str]) -> bool:
    """Make the image unless it is there, made from the same inputs. Returns whether it was made."""
    if not force and machine.label(image.tag) == image.inputs:
        machine.say(f"{image.tag} is there")
        return False
    bundle = ca_bundle(environ)
    check_disk(machine.data_root(), image)
    rootfs = rootfs_for(machine, force=force)
    began = time.monotonic()
    machine.say(f"building {image.tag} from {rootfs} ({image.takes})")
    build(build_command(image, rootfs=rootfs, bundle=bundle))
    machine.say(f"{image.tag} made in {time.monotonic() - began:.0f} s")
    return True


def run(image: BaseImage, *, force: bool) -> int:
    """Make the image for a command line; returns the exit status, with what failed on stderr."""
    reporter = Reporter()
    try:
        make(image, force=force, machine=Machine(reporter.note), environ=os.environ)
    except UpliftError as error:
        reporter.failure(error)
        return error.exit_status
    except KeyboardInterrupt:
        reporter.failure(Interrupted("interrupted"))
        return Interrupted.exit_status
    return 0
