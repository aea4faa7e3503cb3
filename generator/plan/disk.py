"""How much of the disk a part of a bake takes: its share of what the recipe says of a whole first bake. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.plan.graph import Kind
from generator.plan.names import IMAGE, VERIFY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.plan.graph import Graph, Target

# Shares of a whole first bake by kind of target, each with what it leaves in caches: of `demo` the new stack takes
# 4.7 GB as a layer, its wheels 2.3 GB where they are mounted and in the cache of files, its image 2.4 GB
# compressed. Not measured one by one, so rounded up for what is large; what is not listed here takes next to nothing.
_SHARES = {Kind.TORCH: 12.0, Kind.LAYERS: 5.0, Kind.TOOLCHAIN: 5.0, Kind.IMAGE: 6.0}
_COMPILE = 2.0
_WHOLE_TOOLKIT = 10.0  # an installer or a devel image, beside what is taken of it
_OTHER = 0.25
EVERYTHING = (VERIFY, IMAGE)


def needed_gib(graph: Graph, whole: float, targets: Iterable[str]) -> float:
    """Give the room that a first bake of some targets takes, with all that they need, in GiB.

    Args:
        whole: what a first bake of everything takes, in GiB. targets: names; none: everything.
    """
    everything = _share(graph, EVERYTHING)
    return whole * min(1.0, _share(graph, tuple(targets) or EVERYTHING) / everything)


def _share(graph: Graph, targets: Iterable[str]) -> float:
    needed = {name for target in targets for name in (target, *graph.ancestors(target))}
    return sum(_of(graph[name]) for name in needed)


def _of(target: Target) -> float:
    if target.kind is Kind.TOOLCHAIN and target.values["whole"]:
        return _WHOLE_TOOLKIT
    if target.kind is Kind.WHEEL and target.values["compiles"]:
        return _COMPILE
    return _SHARES.get(target.kind, _OTHER)
