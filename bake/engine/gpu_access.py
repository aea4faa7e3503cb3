"""How an engine gives containers NVIDIA GPUs, and which driver a CUDA release needs.

Sources: Docker's documentation on GPU access (``--gpus`` needs the NVIDIA Container Toolkit) and on CDI (the engine
lists devices of ``/etc/cdi`` and ``/var/run/cdi``); NVIDIA's *CUDA Compatibility*, table of minor version
compatibility, for the oldest driver of each CUDA major release.
"""

from __future__ import annotations

import shutil
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.engine.facts import engine_host

if TYPE_CHECKING:
    import docker

# CUDA major release -> the oldest Linux driver that runs it.
OLDEST_DRIVER = {11: (450, 80, 2), 12: (525, 60, 13), 13: (580, 65, 6)}
BLACKWELL_DRIVER = (570, 0)  # the first branch with Blackwell GPUs (release notes of CUDA 12.8)
_KIND = "nvidia.com/gpu"


class Access(str, Enum):
    """How the engine gives a container GPUs."""

    RUNTIME = "NVIDIA container runtime"
    CDI = "CDI"
    HOOK = "NVIDIA container hook"
    NONE = "none"


def access(info: dict[str, Any], *, local: bool = True) -> Access:
    """Tell from the engine's own facts how it gives GPUs.

    Args:
        info: what ``docker info`` holds. local: the engine runs on this machine, so its files can be seen.
    """
    if "nvidia" in (info.get("Runtimes") or {}):
        return Access.RUNTIME
    devices = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ()]
    folders = [Path(folder) for folder in info.get("CDISpecDirs") or ()] if local else []
    if any(device.startswith(f"{_KIND}=") for device in devices) or any(map(_has_specification, folders)):
        return Access.CDI
    if local and shutil.which("nvidia-container-runtime-hook"):
        return Access.HOOK
    return Access.NONE


def access_of(client: docker.DockerClient) -> Access:
    """Ask an engine."""
    return access(client.info(), local=engine_host().startswith("unix://"))


def oldest_driver(cuda: str, capability: str) -> tuple[int, ...]:
    """The oldest driver that runs a CUDA release on a GPU of this capability."""
    needed = OLDEST_DRIVER.get(int(cuda.partition(".")[0]), ())
    major = capability.partition(".")[0]
    blackwell = major.isdigit() and int(major) >= 10  # noqa: PLR2004 - Blackwell is 10.0 and later
    return max(needed, BLACKWELL_DRIVER) if blackwell else needed


def _has_specification(folder: Path) -> bool:
    for file in (*folder.glob("*.yaml"), *folder.glob("*.json")):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if _KIND in text:
            return True
    return False
