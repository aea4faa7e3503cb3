"""The root filesystem under the demo's base image: pulled where that works, else from the distribution's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Callable

LABEL = "io.github.image-uplift.demo-base.inputs"
PULLED_ROOTFS = "debian:bookworm-slim"
LOCAL_ROOTFS = "deepprep-demo-rootfs:bookworm"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "libpython3-dev", "libpython3.11-dev", "python3", "python3-venv")
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*")
PULL_SECONDS = 30
APT_MIRROR = Path(__file__).parents[1] / "bake" / "local" / "apt-mirror.sh"


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

    def data_root(self) -> Path:
        """The folder where the engine keeps its data, as the engine says it."""
        command = ["docker", "info", "--format", "{{.DockerRootDir}}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return Path(answer.stdout.strip() or "/nonexistent")

    def mirror(self) -> str:
        """The address of the distribution's mirror, from this machine's own apt sources; '' where they name none."""
        answer = subprocess.run([str(APT_MIRROR), SUITE], capture_output=True, text=True, check=False)
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


def fetcher_for(machine: Machine) -> str | None:
    """The image that fetches inside of builds where none can be pulled: the root filesystem; None: the default one."""
    return LOCAL_ROOTFS if machine.has(LOCAL_ROOTFS) else None


def rootfs_for(machine: Machine, *, force: bool) -> str:
    """The name of an image to start from, made or pulled where it is not there (or always, when forced)."""
    if not force and machine.has(LOCAL_ROOTFS):
        return LOCAL_ROOTFS
    if machine.pulled(PULLED_ROOTFS):
        return PULLED_ROOTFS
    machine.make_rootfs(LOCAL_ROOTFS)
    return LOCAL_ROOTFS


def main() -> int:
    """Print the name of the image that fetches, where it is not the default one."""
    print(fetcher_for(Machine(say=print)) or "")  # noqa: T201 - its output
    return 0


if __name__ == "__main__":
    sys.exit(main())
