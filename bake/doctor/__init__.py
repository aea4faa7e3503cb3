"""Checks of the surroundings, one per module; all of them run, whatever the first ones find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bake.doctor import (
    assets,
    base,
    builder,
    buildx,
    disk,
    driver,
    engine,
    folders,
    gpu_access,
    layers,
    mirrors,
    registry,
)
from bake.doctor.finding import Engine, Finding, Say, Severity, Subject, from_failure
from generator.errors import EnvironmentUnfit, Interrupted, UpliftError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CHECKS", "Finding", "Severity", "Subject", "mend", "require_fit", "run_checks"]

CHECKS: tuple[tuple[str, Callable[[Subject, Engine], Iterator[Finding]]], ...] = (
    (engine.NAME, engine.check),
    (buildx.NAME, buildx.check),
    (builder.NAME, builder.check),
    (disk.NAME, disk.check),
    (folders.NAME, folders.check),
    (base.NAME, base.check),
    (assets.NAME, assets.check),
    (mirrors.NAME, mirrors.check),
    (registry.NAME, registry.check),
    (layers.NAME, layers.check),
    (driver.NAME, driver.check),
    (gpu_access.NAME, gpu_access.check),
)


def run_checks(subject: Subject, *, only: frozenset[str] | None = None) -> list[Finding]:
    """Run the checks and collect what they find; never raises for what a user can mend.

    Args:
        subject: what to check. only: names of the checks to run, None for all.

    """
    connection = Engine(subject)
    findings: list[Finding] = []
    for name, check in CHECKS:
        if only is not None and name not in only:
            continue
        try:
            findings += check(subject, connection)
        except Interrupted:
            raise
        except UpliftError as failure:
            findings.append(from_failure(name, failure))
    connection.close()
    return _without_repeats(findings)


def require_fit(subject: Subject, *, only: frozenset[str] | None = None) -> list[Finding]:
    """Run the checks before a bake starts; returns the warnings.

    Raises:
        EnvironmentUnfit: at least one check found an error; all of them are in the message.

    """
    findings = run_checks(subject, only=only)
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
