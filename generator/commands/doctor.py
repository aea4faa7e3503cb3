"""Checks the surroundings without baking, shows what was found, and mends what a program can."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from typing import TYPE_CHECKING

from bake.doctor import Engine, mend, run_checks
from bake.errors import EnvironmentUnfit
from generator.baking.preflight import ask, at_hand, subject_of

if TYPE_CHECKING:
    from generator.console.reporter import Reporter
    from generator.recipe import Recipe
    from generator.resolve.facts import Facts

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def examine(reporter: Reporter, recipe: Recipe, facts: Facts, *, form: str, fix: bool = False) -> None:
    """Run every check of the doctor and show the findings; mend what can be and look again, if asked to.

    Raises:
        EnvironmentUnfit: at least one finding is an error.
    """
    probe = ask(facts)
    builder = probe.builder.answer()
    subject = subject_of(recipe, facts, builder, probe, room_gib=facts.disk_gib)
    subject = dataclasses.replace(subject, folders=(facts.folder,))
    with closing(Engine(subject)) as engine:
        subject = dataclasses.replace(
            subject,
            base=at_hand(facts.base, facts.base_mirror, builder, engine),
            fetcher=at_hand(facts.fetcher, facts.fetcher_mirror, builder, engine),
        )
        findings = run_checks(subject, engine=engine)
    subject = dataclasses.replace(subject, known_builder=None, ask_buildx=None)  # all is asked anew
    if fix:
        count = mend(findings, reporter.note)
        reporter.note(f"{count} mended; what is left is for you" if count else "nothing here can be mended by itself")
        findings = run_checks(subject) if count else findings
    rows = [
        {
            "check": entry.check,
            "severity": entry.severity.value,
            "message": entry.message,
            "remedy": entry.remediation,
        }
        for entry in findings
    ]
    if form == "json":
        reporter.document(json.dumps({"findings": rows}, indent=2, ensure_ascii=False))
    else:
        _show(reporter, rows)
    errors = [row["check"] for row in rows if row["severity"] == "error"]
    if errors:
        raise EnvironmentUnfit(f"not fit: {', '.join(errors)}", remedy="mend what the table names")


def _show(reporter: Reporter, rows: list[dict[str, str]]) -> None:
    from rich.table import Table  # heavy
    from rich.text import Text

    table = Table(title="doctor", title_justify="left")
    for column in ("check", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for row in rows:
        mark = Text(row["severity"], style=_STYLES.get(row["severity"], ""))
        table.add_row(row["check"], mark, Text(row["message"]), Text(row["remedy"]))
    reporter.data_console.print(table)
