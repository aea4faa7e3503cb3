"""Makes the demo's base image on this machine: `python -m bake.local.demo_base`.

The root filesystem comes from a registry where images can be pulled, and from the distribution's packages elsewhere.
What `contexts/demo-base/` then makes of it carries a hash of that folder in a label, so that a second run is done at once.
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

from generator.errors import BuildFailed, EnvironmentUnfit, Interrupted, UpliftError
from generator.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONTEXT = Path(__file__).resolve().parents[2] / "contexts" / "demo-base"
TAG = "deepprep-demo:25.1.0"
LABEL = "io.github.image-uplift.demo-base.inputs"
PULLED_ROOTFS = "debian:bookworm-slim"
LOCAL_ROOTFS = "deepprep-demo-rootfs:bookworm"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "libpython3-dev", "libpython3.11-dev", "python3", "python3-venv")
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*")
PULL_SECONDS = 15
NEEDED_BYTES = 8 * 10**9
CA_VARIABLES = ("GENERATOR_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")

Run = "Callable[..., subprocess.CompletedProcess[str]]"


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
    output = f"type=image,name={tag},compression=zstd,compression-level=3,unpack=true"
    return [*command, "--output", output, str(context)]


def mmdebstrap_command(mirror: str) -> list[str]:
    """The call that writes a minimal root filesystem with Python to stdout, as a tar archive."""
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += ['--aptopt=Acquire::Languages "none"', "--dpkgopt=force-unsafe-io"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    return [*command, SUITE, "-", mirror]


class Machine:
    """The engine and the package tools of this machine, by their command lines.

    Args:
        say: takes a line for the user.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def label(self, image: str) -> str | None:
        """The input hash that ``image`` carries; '' without one, None where there is no such image.

        Raises:
            EnvironmentUnfit: there is no docker, or no engine answers.
        """
        command = ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise EnvironmentUnfit("there is no `docker` on PATH", remedy="run `make engine`") from None
        if answer.returncode == 0:
            return answer.stdout.strip().replace("<no value>", "")
        if "no such image" in answer.stderr.lower():
            return None
        reason = answer.stderr.strip().splitlines()
        raise EnvironmentUnfit(
            f"no Docker Engine answers: {reason[-1] if reason else 'no reason given'}",
            remedy="run `make engine`, or set DOCKER_HOST to an engine that runs",
        )

    def has(self, image: str) -> bool:
        """Whether the engine has ``image``."""
        return self.label(image) is not None

    def pulled(self, image: str) -> bool:
        """Whether ``image`` is there, pulled now if need be, within a short time."""
        if self.has(image):
            return True
        self.say(f"pulling {image} (at most {PULL_SECONDS} s)")
        try:
            answer = subprocess.run(
                ["docker", "pull", "--quiet", image], capture_output=True, check=False, timeout=PULL_SECONDS
            )
        except subprocess.TimeoutExpired:
            return False
        return answer.returncode == 0

    def mirror(self) -> str:
        """The address of the distribution's mirror, from this machine's own apt sources; '' where they name none."""
        script = Path(__file__).with_name("apt-mirror.sh")
        answer = subprocess.run([str(script), SUITE], capture_output=True, text=True, check=False)
        return answer.stdout.strip()

    def make_rootfs(self, image: str) -> None:
        """Make ``image`` from the distribution's packages.

        Raises:
            EnvironmentUnfit: this machine can't.
        """
        mirror = self.mirror()
        if not mirror:
            raise EnvironmentUnfit(
                f"{PULLED_ROOTFS} can't be pulled, and this machine's apt sources name no mirror with Debian {SUITE}",
                remedy=f"let the engine reach a registry, or load the image by hand: docker load / docker pull "
                f"{PULLED_ROOTFS}; or run this on Debian {SUITE}",
            )
        if not shutil.which("mmdebstrap"):
            self._install_mmdebstrap()
        self.say(f"making a root filesystem from Debian {SUITE}'s packages (about a minute)")
        make = subprocess.Popen(mmdebstrap_command(mirror), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        imported = subprocess.Popen(
            ["docker", "import", "-", image], stdin=make.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if make.stdout:
            make.stdout.close()
        try:
            _, made_log = make.communicate()
            _, import_log = imported.communicate()
        except BaseException:
            make.terminate()
            imported.terminate()
            raise
        if make.returncode or imported.returncode:
            tail = (made_log if make.returncode else import_log).decode(errors="replace").strip().splitlines()[-10:]
            if not imported.returncode:  # what a broken archive left
                subprocess.run(["docker", "image", "rm", image], capture_output=True, check=False)
            raise EnvironmentUnfit(
                "making the root filesystem failed:\n    " + "\n    ".join(tail),
                where="mmdebstrap" if make.returncode else "docker import",
                remedy="see that apt reaches its mirror (apt-get update), and run this as root",
            )

    def _install_mmdebstrap(self) -> None:
        self.say("installing mmdebstrap")
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        steps = (["update"], ["install", "--yes", "--no-install-recommends", "mmdebstrap"])
        for step in steps:
            command = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *step]
            try:
                answer = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError as error:
                answer = subprocess.CompletedProcess(command, 127, "", str(error))
            if answer.returncode:
                reason = answer.stderr.strip().splitlines()
                raise EnvironmentUnfit(
                    f"mmdebstrap is not installed, and can't be: {reason[-1] if reason else 'apt-get failed'}",
                    where="apt-get " + step[0],
                    remedy="install it by hand: apt-get install mmdebstrap",
                )


def check_disk(path: Path) -> None:
    """Raise EnvironmentUnfit where the disk of ``path`` has not enough room for the image and its making."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    if free < NEEDED_BYTES:
        raise EnvironmentUnfit(
            f"the demo's base needs {NEEDED_BYTES / 1e9:.0f} GB while it is made, and {free / 1e9:.1f} GB are free",
            where=str(path),
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


def make(tag: str, *, force: bool, machine: Machine, environ: Mapping[str, str], context: Path = CONTEXT) -> bool:
    """Make the image ``tag`` unless it is there, made from the same inputs. Returns whether it was made."""
    inputs = inputs_hash(context)
    if not force and machine.label(tag) == inputs:
        machine.say(f"{tag} is there")
        return False
    bundle = ca_bundle(environ)
    check_disk(Path(environ.get("DOCKER_DATA_ROOT", "/var/lib/docker")))
    rootfs = LOCAL_ROOTFS
    if force or not machine.has(LOCAL_ROOTFS):
        if machine.pulled(PULLED_ROOTFS):
            rootfs = PULLED_ROOTFS
        else:
            machine.make_rootfs(LOCAL_ROOTFS)
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
    options = parser.parse_args(arguments)
    reporter = Reporter()
    try:
        make(options.tag, force=options.force, machine=Machine(reporter.note), environ=os.environ)
    except UpliftError as error:
        reporter.failure(error)
        return error.exit_status
    except KeyboardInterrupt:
        reporter.failure(Interrupted("interrupted"))
        return Interrupted.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
