"""Checks of the surroundings, one per module; all of them run, side by side, whatever the others find."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bake.ahead import all_ahead
from bake.doctor import (
    assets,
    base,
    builder,
    buildx,
    disk,
    driver,
    engine,
    fetcher,
    folders,
    gpu_access,
    layers,
    mirrors,
    registry,
)
from bake.doctor.finding import Engine, Finding, Say, Severity, Subject, from_failure
from bake.errors import EnvironmentUnfit, Interrupted, UpliftError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CHECKS", "Engine", "Finding", "Severity", "Subject", "mend", "require_fit", "run_checks"]

CHECKS: tuple[tuple[str, Callable[[Subject, Engine], Iterator[Finding]]], ...] = (
    (engine.NAME, engine.check),
    (buildx.NAME, buildx.check),
    (builder.NAME, builder.check),
    (disk.NAME, disk.check),
    (folders.NAME, folders.check),
    (base.NAME, base.check),
    (fetcher.NAME, fetcher.check),
    (assets.NAME, assets.check),
    (mirrors.NAME, mirrors.check),
    (registry.NAME, registry.check),
    (layers.NAME, layers.check),
    (driver.NAME, driver.check),
    (gpu_access.NAME, gpu_access.check),
)


def run_checks(subject: Subject, *, only: frozenset[str] | None = None, engine: Engine | None = None) -> list[Finding]:
    """Run the checks side by side and collect, in their order, what they find; raises for nothing a user can mend.

    Args:
        subject: what to check. only: names of the checks to run, None for all. engine: the connection to use, which
            stays open; None: one of its own.

    """
    connection = engine or Engine(subject)
    wanted = [partial(_run, name, check, subject, connection) for name, check in CHECKS if only is None or name in only]
    try:
        findings = [finding for found in all_ahead(wanted) for finding in found]
    finally:
        if engine is None:
            connection.close()
    return _without_repeats(findings)


def _run(
    name: str, check: Callable[[Subject, Engine], Iterator[Finding]], subject: Subject, engine: Engine
) -> list[Finding]:
    findings: list[Finding] = []
    try:
        for finding in check(subject, engine):
            findings.append(finding)  # noqa: PERF402 - what was found before a failure counts too
    except Interrupted:
        raise
    except UpliftError as failure:
        findings.append(from_failure(name, failure))
    return findings


def require_fit(subject: Subject, *, only: frozenset[str] | None = None, engine: Engine | None = None) -> list[Finding]:
    """Run the checks before a bake starts; returns the warnings. Arguments are those of ``run_checks``.

    Raises:
        EnvironmentUnfit: at least one check found an error; all of them are in the message.

    """
    findings = run_checks(subject, only=only, engine=engine)
    wrong = [finding for finding in findings if finding.severity is Severity.ERROR]
    if not wrong:
        return [finding for finding in findings if finding.severity is Severity.WARNING]
    first, *others = wrong
    lines = [first.message]
    for finding in others:
        lines += [f"  {finding.check}: {finding.message}", f"    what to do: {finding.remediation}"]
    raise EnvironmentUnfit("\n".join(lines), where=first.check, remedy=first.remediation or None)


def mend(findings: list[Finding], say: Say) -> int:
    """Mend what a program can; gives the number of findings that were mended.

    Args:
        say: told what is done, and what could not be.

    """
    done = 0
    for finding in findings:
        if finding.mend is None:
            continue
        try:
            finding.mend(say)
        except Interrupted:
            raise
        except UpliftError as failure:
            say(f"{finding.check}: not mended: {failure}")
        else:
            done += 1
    return done


def _without_repeats(findings: list[Finding]) -> list[Finding]:
    """Keep one of several errors with the same message: no engine fails every check that asks it."""
    seen: set[str] = set()
    kept: list[Finding] = []
    for finding in findings:
        if finding.severity is not Severity.ERROR or finding.message not in seen:
            kept.append(finding)
        seen.add(finding.message)
    return kept
