"""The compile targets as a job matrix for CI: which of them one job compiles. Pure.

A matrix is flat: its jobs can't wait for each other. So extensions that need one another share a job, where BuildKit
builds them in order; all others get a job of their own. Extensions that are found prebuilt as a rule, and compiled only
where no wheel fits, share one job too: a runner each would mostly fetch the new stack for nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator.plan.graph import Kind

if TYPE_CHECKING:
    from generator.plan.graph import Graph, Target

_PREBUILT = "wheel"


@dataclass(frozen=True, kw_only=True)
class CompileJob:
    """One job of the matrix.

    Args:
        targets: the compile targets that it bakes, those that others need first. extensions: their extensions.
        versions: the extensions' versions. sources: where each comes from, as in the recipe.
    """

    targets: tuple[str, ...]
    extensions: tuple[str, ...]
    versions: tuple[str, ...]
    sources: tuple[str, ...]


def compile_jobs(graph: Graph) -> tuple[CompileJob, ...]:
    """Share the compile targets out to jobs, in the graph's order; what is prebuilt as a rule comes last."""
    certain: list[list[Target]] = []
    fallbacks: list[Target] = []
    for group in _linked(graph):
        if all(target.values.get("source") == _PREBUILT for target in group):
            fallbacks += group
        else:
            certain.append(group)
    return tuple(_job(group) for group in (*certain, *([fallbacks] if fallbacks else [])))


def as_matrix(graph: Graph) -> str:
    """Write the matrix on one line, as ``strategy.matrix`` of GitHub Actions takes it from a job's output.

    Each entry of ``include`` has ``target``, after which the job is named: the last of a job, which needs the others;
    ``targets``, all that the job bakes, separated by spaces; ``extension``, ``version`` and ``source`` of ``target``.
    """
    entries = [
        {
            "target": job.targets[-1],
            "targets": " ".join(job.targets),
            "extension": job.extensions[-1],
            "version": job.versions[-1],
            "source": job.sources[-1],
        }
        for job in compile_jobs(graph)
    ]
    return json.dumps({"include": entries}, separators=(",", ":"))


def _linked(graph: Graph) -> list[list[Target]]:
    """Group the compile targets that wait for each other, directly or not."""
    groups: list[list[Target]] = []
    for target in graph.of_kind(Kind.WHEEL):
        if not target.values.get("compiles"):
            continue
        needed = graph.ancestors(target.name)
        joined = [group for group in groups if any(other.name in needed for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([*(other for group in joined for other in group), target])
    order = {name: number for number, name in enumerate(graph.names)}
    for group in groups:
        group.sort(key=lambda target: order[target.name])
    return sorted(groups, key=lambda group: order[group[0].name])


def _job(group: list[Target]) -> CompileJob:
    return CompileJob(
        targets=tuple(target.name for target in group),
        extensions=tuple(str(target.values["package"]) for target in group),
        versions=tuple(str(target.values["version"]) for target in group),
        sources=tuple(str(target.values["source"]) for target in group),
    )
