"""The cache proof of a bake: what ran and what was cached, target by target, and where each wheel came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bake.progress.events import State, StepKind
from generator.reuse.steps import compiled, made

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bake.buildx.driver import BakeOutcome
    from bake.progress.facts import Fact
    from generator.console.reporter import Reporter
    from generator.job import Reuse, WheelLookup

# Kinds of facts: the first three of contexts/wheel/compile.py, the last one of conversion's arrivals.
COMPILER_CACHE, BUDGET, MEASURED, ARRIVAL = "compiler-cache", "budget", "measured", "arrival"
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


def last_of(facts: Iterable[tuple[str, Fact]], kind: str) -> dict[str, Fact]:
    """Give the last fact of a kind that each target told."""
    return {target: fact for target, fact in facts if fact.kind == kind}


def compiler_cpu(facts: Iterable[tuple[str, Fact]]) -> dict[str, float]:
    """Sum up the CPU seconds of all compilers, and tell the cores; empty where none were measured.

    The bake took more: what its other steps took is not known.
    """
    told = tuple(facts)
    seconds = [fact.number("cpu_seconds") for fact in last_of(told, MEASURED).values()]
    cores = [fact.number("cores") for fact in last_of(told, BUDGET).values()]
    known = [number for number in seconds if number is not None]
    most = max((number for number in cores if number is not None), default=0)
    return {"seconds": float(sum(known)), "cores": int(most)} if known and most else {}


def as_data(outcome: BakeOutcome, reuse: Reuse) -> dict[str, Any]:
    """Give the proof for the record of a bake."""
    origins = wheel_origins(outcome, reuse.lookup)
    return {
        "cache": {proof.target: {"ran": proof.ran, "cached": proof.cached} for proof in counted(outcome)},
        "wheels": {
            wheel.target: {
                "key": wheel.key.digest,
                "origin": origins[wheel.target],
                "reference": wheel.reference,
                **_compile_data(wheel.target, outcome.facts),
            }
            for wheel in reuse.lookup.wheels
        },
        "keys": {name: dict(key.inputs) for name, key in reuse.keys.items()},
        "cpu": compiler_cpu(outcome.facts),
    }


def show_proof(reporter: Reporter, outcome: BakeOutcome, lookup: WheelLookup, pushed: tuple[str, ...]) -> None:
    """Say it in a few lines, on stderr."""
    proofs = counted(outcome)
    width = max((len(proof.target) for proof in proofs), default=0)
    for proof in proofs:
        reporter.note(f"  {proof.target:{width}}  {proof.ran:3} ran  {proof.cached:3} cached")
    hits = last_of(outcome.facts, COMPILER_CACHE)
    for wheel in lookup.wheels:
        said = {
            STORE: f"from the store: {wheel.reference}",
            COMPILED: f"compiled, {hits[wheel.target].says}" if wheel.target in hits else "compiled",
            CACHED: "from the build cache",
            ABSENT: "not made",
        }[wheel_origins(outcome, lookup)[wheel.target]]
        reporter.note(f"  {wheel.target}: {said}{'; pushed to the store' if wheel.target in pushed else ''}")
    for target, fact in outcome.facts:
        if fact.kind == ARRIVAL:
            reporter.note(f"  {target}: {fact.says}")


def _compile_data(target: str, facts: tuple[tuple[str, Fact], ...]) -> dict[str, Any]:
    """Give what a compile told, for the record: how often the compiler cache hit, its budget, what it measured."""
    told = {kind: last_of(facts, kind).get(target) for kind in (COMPILER_CACHE, BUDGET, MEASURED)}
    cache = told.pop(COMPILER_CACHE)
    compilers = {kind: fact.says for kind, fact in told.items() if fact}
    counts = {name: int(cache.number(name) or 0) for name in ("hits", "calls")} if cache else {}
    return {**({"compiler_cache": counts} if counts else {}), **({"compilers": compilers} if compilers else {})}
