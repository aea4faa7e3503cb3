"""Asks the NVIDIA driver which GPUs this machine has."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from dataclasses import dataclass

from bake.errors import EnvironmentUnfit

_TIMEOUT = 30.0  # seconds; the first call after a boot loads the driver
_CAPABILITY = re.compile(r"\d{1,2}\.\d")
_REMEDY = "install NVIDIA's driver on this machine, or name the GPU: --gpu rtx5090"


@dataclass(frozen=True, kw_only=True)
class InstalledGpu:
    """A GPU of this machine; ``capability`` is "" where the driver is too old to say (before 510)."""

    name: str
    capability: str


def installed_gpus() -> tuple[InstalledGpu, ...]:
    """List the GPUs that the driver reports.

    Raises:
        EnvironmentUnfit: there is no driver, it does not answer, or it reports no GPU.
    """
    if shutil.which("nvidia-smi") is None:
        raise EnvironmentUnfit("there is no nvidia-smi on PATH, so the driver cannot be asked", remedy=_REMEDY)
    said = _ask("name,compute_cap") or _ask("name")
    found = tuple(_gpu(row) for row in csv.reader(said.splitlines()) if row)
    if not found:
        raise EnvironmentUnfit("the driver reports no GPU", remedy=_REMEDY)
    return found


def driver_version() -> str:
    """Give the driver's version, such as ``575.57.08``.

    Raises:
        EnvironmentUnfit: there is no driver, or it does not answer.
    """
    return next(iter(_ask("driver_version").split()), "")


def _gpu(row: list[str]) -> InstalledGpu:
    last = row[-1].strip()
    return InstalledGpu(name=row[0].strip(), capability=last if _CAPABILITY.fullmatch(last) else "")


def _ask(fields: str) -> str:
    """Query the driver; "" where it does not know one of the fields.

    Raises:
        EnvironmentUnfit: it does not answer.
    """
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentUnfit(f"nvidia-smi does not answer: {error}", remedy=_REMEDY) from None
    if done.returncode == 0:
        return done.stdout
    if "is not a valid field" in done.stdout + done.stderr:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines() or [f"exit status {done.returncode}"]
    raise EnvironmentUnfit(f"nvidia-smi cannot reach the driver: {lines[0]}", remedy=_REMEDY)
