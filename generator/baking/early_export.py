"""Packs the new stack's layers while the extensions still compile, so that the last step has only small ones left.

BuildKit makes the blobs of an image when the image is exported, at the very end of a bake. The stack is by far the
largest layer and is there long before: it is exported on its own as soon as it is done, and the image's export then
finds its blobs, and on the engine its unpacked layers (measured with Engine 28.5: a 4.7 GB stack takes 50 s).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bake.buildx import results
from bake.engine.facts import remove_name
from bake.errors import EnvironmentUnfit, UsageError
from bake.leftovers.images import part_of
from generator.plan.names import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.job import Job

_NOT_STORED = "type=image,store=false,compression=zstd"


@dataclass(frozen=True, kw_only=True)
class Early:
    """Targets to bake besides those asked for, and the overrides that export them."""

    targets: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def packed_early(job: Job, *, unpacked: bool) -> Iterator[Early]:
    """Give what exports the stack early; what it leaves on the engine goes at the end, when the image has it all.

    Nothing for an image that is sent from another builder, and for a stack that the last bake made already.

    Args:
        unpacked: the image is stored on the engine. One that goes to a registry or into a file needs the blobs alone.
    """
    stack = str(job.graph[IMAGE].values["stack"])
    if not job.preflight.own_builder or not _is_new(job, stack):
        yield Early()
        return
    if not unpacked:
        yield Early(targets=(stack,), overrides={f"{stack}.output": _NOT_STORED})
        return
    name = part_of(job.folder)
    try:
        yield Early(targets=(stack,), overrides={f"{stack}.output": f"type=image,name={name},compression=zstd"})
    finally:
        _remove(job, name)


def _is_new(job: Job, stack: str) -> bool:
    """Tell whether the last bake into this folder had another stack."""
    try:
        last = (results.load(job.folder).data.get("keys") or {}).get(stack)
    except UsageError:
        return True
    return bool(last != dict(job.reuse.keys[stack].inputs))


def _remove(job: Job, name: str) -> None:
    """Take the name away; the layers stay, since the image has them."""
    try:
        remove_name(name, context=job.preflight.context)
    except EnvironmentUnfit as error:
        job.reporter.warning(str(error))
