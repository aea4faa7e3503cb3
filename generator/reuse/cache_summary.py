"""The cache proof of a bake: what ran and what was cached, target by target, and where each wheel came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bake.progress.events import State, StepKind
from generator.reuse.steps import compiled, made

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bake.buildx.driver import BakeOutcome
    from generator.console.reporter import Reporter
    from generator.job import Reuse, WheelLookup

_HITS = re.compile(r"compile\.py: compiler cache: (\d+) of (\d+) calls hit")
_SAID = re.compile(r"compile\.py: (budget|measured): (.+)")
_ARRIVALS = "arrivals.py: "
_CORES = re.compile(r"\b(\d+) cores")
_CPU = re.compile(r"\bin (\d+) CPU seconds")
STORE, COMPILED, CACHED, ABSENT = "store", "compiled", "cached", ""


@dataclass(frozen=True, kw_only=True)
class TargetProof:
    """How many of a target's own steps ran, and how many were cached."""

    target: str
    ran: int
    cached: int


def counted(outcome: BakeOutcome) -> tuple[TargetProof, ...]:
    """Count the instructions of each target, each for the target that it belongs to."""
    ran: dict[str, int] = {}
    cached: dict[str, int] = {}
    for step in outcome.steps:
        if step.kind is not StepKind.INSTRUCTION or step.shared:
            continue
        cached[step.target] = cached.get(step.target, 0) + step.cached
        ran[step.target] = ran.get(step.target, 0) + (step.state in (State.DONE, State.FAILED, State.RUNNING))
    return tuple(TargetProof(target=name, ran=ran[name], cached=cached[name]) for name in ran)


def wheel_origins(outcome: BakeOutcome, lookup: WheelLookup) -> dict[str, str]:
    """Tell where the wheel of each compile target came from: the store, a compile, a builder's cache; "": nowhere."""
    fresh = compiled(outcome)
    done = {wheel.target for wheel in made(outcome, lookup.missing)}

    def origin(target: str, reference: str) -> str:
        if reference:
            return STORE
        if target in fresh:
            return COMPILED
        return CACHED if target in done else ABSENT

    return {wheel.target: origin(wheel.target, wheel.reference) for wheel in lookup.wheels}


def compiler_hits(lines: Iterable[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Read what compiles said of the compiler cache: hits and calls, by target."""
    found = ((target, _HITS.search(line)) for target, line in lines)
    return {target: (int(match[1]), int(match[2])) for target, match in found if match}


def compiler_budget(lines: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Read what compiles said of their budget and then measured: by target, ``budget`` and ``measured``."""
    found: dict[str, dict[str, str]] = {}
    for target, line in lines:
        if match := _SAID.search(line):
            found.setdefault(target, {})[match[1]] = match[2]
    return found


def compiler_cpu(budgets: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """Sum up the CPU seconds of all compilers, and tell the cores; empty where none were measured.

    The bake took more: what its other steps took is not known.
    """
    seconds = [int(match[1]) for said in budgets.values() if (match := _CPU.search(said.get("measured", "")))]
    cores = [int(match[1]) for said in budgets.values() if (match := _CORES.search(said.get("budget", "")))]
    return {"seconds": float(sum(seconds)), "cores": max(cores)} if seconds and cores else {}


def as_data(outcome: BakeOutcome, reuse: Reuse) -> dict[str, Any]:
    """Give the proof for the record of a bake."""
    origins = wheel_origins(outcome, reuse.lookup)
    hits = compiler_hits(outcome.notes)
    budgets = compiler_budget(outcome.notes)
    return {
        "cache": {proof.target: {"ran": proof.ran, "cached": proof.cached} for proof in counted(outcome)},
        "wheels": {
            wheel.target: {
                "key": wheel.key.digest,
                "origin": origins[wheel.target],
                "reference": wheel.reference,
                **(
                    {"compiler_cache": {"hits": hits[wheel.target][0], "calls": hits[wheel.target][1]}}
                    if wheel.target in hits
                    else {}
                ),
                **({"compilers": budgets[wheel.target]} if wheel.target in budgets else {}),
            }
            for wheel in reuse.lookup.wheels
        },
        "keys": {name: dict(key.inputs) for name, key in reuse.keys.items()},
        "cpu": compiler_cpu(budgets),
    }


def show_proof(reporter: Reporter, outcome: BakeOutcome, lookup: WheelLookup, pushed: tuple[str, ...]) -> None:
    """Say it in a few lines, on stderr."""
    proofs = counted(outcome)
    width = max((len(proof.target) for proof in proofs), default=0)
    for proof in proofs:
        reporter.note(f"  {proof.target:{width}}  {proof.ran:3} ran  {proof.cached:3} cached")
    hits = compiler_hits(outcome.notes)
    for wheel in lookup.wheels:
        said = {
            STORE: f"from the store: {wheel.reference}",
            COMPILED: "compiled" + _hits_text(hits.get(wheel.target)),
            CACHED: "from the build cache",
            ABSENT: "not made",
        }[wheel_origins(outcome, lookup)[wheel.target]]
        reporter.note(f"  {wheel.target}: {said}{'; pushed to the store' if wheel.target in pushed else ''}")
    for target, line in outcome.notes:
        if line.startswith(_ARRIVALS):
            reporter.note(f"  {target}: {line[len(_ARRIVALS) :]}")


def _hits_text(hits: tuple[int, int] | None) -> str:
    return f", {hits[0]} of {hits[1]} compiler calls from the compiler cache" if hits else ""
