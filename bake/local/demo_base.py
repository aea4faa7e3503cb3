"""Makes the demo's base image on this machine: `python -m bake.local.demo_base`.

The root filesystem comes from a registry where images can be pulled, and from the distribution's packages elsewhere.
The image carries a hash of `contexts/demo-base/` in a label, so that a second run is done at once.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bake.local.demo_rootfs import LABEL, Machine, rootfs_for
from generator.errors import BuildFailed, EnvironmentUnfit, Interrupted, UpliftError
from generator.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTEXT = Path(__file__).resolve().parents[2] / "contexts" / "demo-base"
TAG = "deepprep-demo:25.1.0"
NEEDED_BYTES = 8 * 10**9  # while the image is made
# The first `make demo` in all: this image, the bake beside it (the recipe's `disk-gib`), the registry, what is pulled.
DEMO_BYTES = 31 * 10**9
CA_VARIABLES = ("GENERATOR_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")


def inputs_hash(folder: Path) -> str:
    """Hash of the names, modes and bytes of all files under ``folder``: what the image is made from."""
    digest = hashlib.sha256()
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


def build_command(*, tag: str, rootfs: str, inputs: str, context: Path, bundle: Path | None) -> list[str]:
    """The `docker buildx build` call. zstd: half the bytes on disk and in a registry of the uncompressed layers."""
    command = ["docker", "buildx", "build", "--provenance=false", "--build-arg", f"ROOTFS={rootfs}"]
    command += ["--label", f"{LABEL}={inputs}"]
    if bundle:
        command += ["--secret", f"id=ca-bundle,src={bundle}"]
    output = f"type=image,name={tag},compression=zstd,compression-level=3"
    return [*command, "--output", output, str(context)]


def check_disk(data_root: Path, *, demo: bool = False) -> None:
    """Check that the engine's disk has room for the image and its making; an engine elsewhere is not checked.

    Args:
        demo: all of `make demo` follows, and needs room too.

    Raises:
        EnvironmentUnfit: it has not.
    """
    if not data_root.exists():
        return
    free = shutil.disk_usage(data_root).free
    needed = DEMO_BYTES if demo else NEEDED_BYTES
    if free < needed:
        what = "the first `make demo` needs" if demo else "the demo's base, while it is made, needs"
        raise EnvironmentUnfit(
            f"{what} {needed / 1e9:.0f} GB, and {free / 1e9:.1f} GB are free",
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


def make(
    tag: str,
    *,
    force: bool,
    machine: Machine,
    environ: Mapping[str, str],
    context: Path = CONTEXT,
    demo: bool = False,
) -> bool:
    """Make the image ``tag`` unless it is there, made from the same inputs. Returns whether it was made.

    Args:
        demo: all of `make demo` follows, and needs room too.
    """
    inputs = inputs_hash(context)
    if not force and machine.label(tag) == inputs:
        machine.say(f"{tag} is there")
        return False
    bundle = ca_bundle(environ)
    check_disk(machine.data_root(), demo=demo)
    rootfs = rootfs_for(machine, force=force)
    began = time.monotonic()
    machine.say(f"building {tag} from {rootfs} (about five minutes on two cores)")
    build(build_command(tag=tag, rootfs=rootfs, inputs=inputs, context=context, bundle=bundle))
    machine.say(f"{tag} made in {time.monotonic() - began:.0f} s")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bake.local.demo_base", description=__doc__)
    parser.add_argument("--tag", default=TAG, help="name of the image (default %(default)s)")
    parser.add_argument("--force", action="store_true", help="make it although it is there")
    parser.add_argument("--demo", action="store_true", help="ask for the disk that all of `make demo` takes")
    options = parser.parse_args(arguments)
    reporter = Reporter()
    machine = Machine(reporter.note)
    try:
        make(options.tag, force=options.force, machine=machine, environ=os.environ, demo=options.demo)
    except UpliftError as error:
        reporter.failure(error)
        return error.exit_status
    except KeyboardInterrupt:
        reporter.failure(Interrupted("interrupted"))
        return Interrupted.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
