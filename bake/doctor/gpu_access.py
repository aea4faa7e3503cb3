"""Looks whether the engine can give containers GPUs: the NVIDIA Container Toolkit, or CDI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor.finding import Engine, Finding, Subject, ok, warning
from bake.engine.gpu_access import Access, access_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "container toolkit"


def check(subject: Subject, engine: Engine) -> Iterator[Finding]:
    """Ask the engine; a warning at most, since no bake needs a GPU."""
    if not subject.cuda:
        return
    found = access_of(engine.client)
    if found is Access.NONE:
        yield warning(
            NAME,
            "the engine can give containers no NVIDIA GPU: baking and verifying need none, running the image does",
            "install the NVIDIA Container Toolkit, then `nvidia-ctk runtime configure --runtime=docker`, and restart "
            "the engine",
        )
    else:
        yield ok(NAME, f"the engine gives containers NVIDIA GPUs ({found.value})")
