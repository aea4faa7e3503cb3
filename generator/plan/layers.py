"""The stack as several layers, where a registry takes none as large as the one that its installation makes. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bake.errors import UsageError
from generator.plan import specs
from generator.plan.graph import Kind, Target
from generator.plan.names import LAYERS, TORCH

if TYPE_CHECKING:
    from generator.recipe.model import Recipe

# What a stack is taken to install where the recipe does not say: more than any that was measured.
INSTALLED_MIB = 8192
# What an archive has besides content, and what large files leave of a part unused. A part too many is an empty layer of
# some bytes, one too few a failed build.
_MARGIN = 1.05
# An image can have 127 layers in all (overlay mounts); frozen images have dozens.
MOST = 64


def part_count(recipe: Recipe, limit_mib: int | None) -> int:
    """Give how many layers the stack is shared out over; 1: it fits into one as it is, or there is no limit.

    Args:
        recipe: its ``stack.installed-mib`` is what counts. limit_mib: the largest layer, in MiB, None for any.

    Raises:
        UsageError: it would be more layers than an image can have.
    """
    if limit_mib is None:
        return 1
    expected = (recipe.stack.installed_mib or INSTALLED_MIB) * _MARGIN
    if expected <= limit_mib:
        return 1
    count = math.ceil(expected / limit_mib) + 1
    if count > MOST:
        raise UsageError(
            f"layers of at most {limit_mib} MiB: the new stack would need {count}, and an image can have 127 in all",
            where="--layer-limit-mib, or layer-limit-mib of the site file",
            remedy=f"give at least {math.ceil(expected / (MOST - 1))}, or correct stack.installed-mib in the recipe",
        )
    return count


def layers(recipe: Recipe, *, count: int, limit_mib: int) -> Target:
    """Plan the target that the image starts from in place of ``torch``: the same files in ``count`` layers."""
    return Target(
        name=LAYERS,
        kind=Kind.LAYERS,
        description=f"the new stack shared out over {count} layers of at most {limit_mib} MiB",
        inputs={TORCH: TORCH},
        from_base=True,
        values={**specs.environment(recipe), "count": count, "limit": limit_mib},
        files=specs.conversion_files("layers"),
    )
