"""Looks for NVIDIA GPUs on this machine, and whether their driver runs the image's CUDA. Only a run needs either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, ok, warning
from bake.engine.facts import version_of
from bake.engine.gpu import driver_version, installed_gpus
from bake.engine.gpu_access import oldest_driver
from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "driver"


def check(subject: Subject, _engine: Engine) -> Iterator[Finding]:
    """Ask the driver; a machine without a GPU can bake and verify."""
    if not subject.cuda:
        return
    try:
        found, driver = installed_gpus(), driver_version()
    except EnvironmentUnfit as failure:
        yield warning(
            NAME,
            f"no NVIDIA GPU is seen here ({failure.message}): baking and verifying need none, running the image does",
            "where a GPU is built in, install NVIDIA's driver until `nvidia-smi` lists it",
        )
        return
    for gpu in found:
        needed = oldest_driver(subject.cuda, gpu.capability)
        text = f"{gpu.name} (compute capability {gpu.capability or 'unknown'}), driver {driver}"
        if version_of(driver) >= needed:
            yield ok(NAME, text)
        else:
            wanted = ".".join(map(str, needed))
            yield warning(
                NAME,
                f"{text}: CUDA {subject.cuda} needs driver {wanted} or later on it",
                f"update NVIDIA's driver to {wanted} or later",
            )
