"""What a bake needs of the place: engine, buildx, the base image, disk, registry; checked before it starts."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from generator.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from pathlib import Path

    from bake.doctor import Subject
    from generator.recipe import Recipe
    from generator.reporter import Reporter
    from generator.resolve import Choices, Facts

GIB = 2**30
_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def require_fit(recipe: Recipe, facts: Facts, *, folder: Path, push: bool, builder: str | None) -> str:
    """Check the surroundings and give the base image, pinned to its digest where this engine holds it.

    A builder other than the engine's own pulls the base itself; then the base is not looked for here. A folder
    whose last bake was done needs no more room: its steps are cached.

    Raises:
        EnvironmentUnfit: what is missing, and how to mend it; all of it at once.
    """
    from bake import doctor, engine

    facts = _at_hand(facts, builder=builder)
    subject = _subject(recipe, facts, push=push)
    skipped = {
        doctor.base.NAME: builder is not None,
        doctor.disk.NAME: _baked_before(folder),
        doctor.registry.NAME: not push,
        # A bake needs no GPU, and says itself which asset or mirror it misses.
        **dict.fromkeys((doctor.driver.NAME, doctor.gpu_access.NAME, doctor.assets.NAME, doctor.mirrors.NAME), True),
    }
    doctor.require_fit(subject, only=frozenset(name for name, _ in doctor.CHECKS if not skipped.get(name)))
    if builder is not None or "@" in facts.base:
        return facts.base
    image = engine.look_up_image(facts.base)
    return facts.base if image is None or image.digest is None else f"{facts.base}@{image.digest}"


def _at_hand(facts: Facts, *, builder: str | None) -> Facts:
    """Take the base from the mirror of its registry, unless this engine builds and holds it."""
    if facts.base_mirror is None or (builder is None and _held(facts.base)):
        return facts
    return dataclasses.replace(facts, base=facts.base_mirror)


def _held(image: str) -> bool:
    """Tell whether the engine has an image; then no mirror is asked for it."""
    from bake import engine

    try:
        return engine.image_facts(engine.connect(), image) is not None
    except EnvironmentUnfit:  # the checks say so, with all else that is wrong
        return True


def _subject(recipe: Recipe, facts: Facts, choices: Choices | None = None, *, push: bool = False) -> Subject:
    from bake.doctor import Subject
    from bake.reference import parse_reference
    from generator import fetching

    return Subject(
        base=facts.base,
        base_remedy=f"run `{recipe.base.remedy}`" if recipe.base.remedy else "",
        registry=parse_reference(facts.image).registry if facts.registry else None,
        image=facts.image if facts.registry else None,
        pushes=push,
        keyring=facts.keyring,
        builder=facts.builder,
        disk=int(facts.disk_gib * GIB),
        ca_bundle=facts.ca_bundle,
        cuda=recipe.stack.cuda,
        netrc=facts.netrc,
        assets=fetching.requests_here(recipe, facts),
        assets_folder=facts.assets_folder,
        mirrors=tuple(dict.fromkeys(to for to in facts.mirrors.values() if "://" in to)),
        folders=(choices.output,) if choices else (),
    )


def _baked_before(folder: Path) -> bool:
    """Tell whether the last bake of this folder was done: then its steps are cached and take no more room."""
    try:
        data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and data.get("state") == "done"


def examine(
    reporter: Reporter, recipe: Recipe, facts: Facts, choices: Choices, *, form: str, fix: bool = False
) -> None:
    """Run every check of the doctor and show the findings; mend what can be and look again, if asked to.

    Raises:
        EnvironmentUnfit: at least one finding is an error.
    """
    from bake.doctor import mend, run_checks

    subject = _subject(recipe, _at_hand(facts, builder=facts.builder), choices)
    findings = run_checks(subject)
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
        reporter.data(json.dumps({"findings": rows}, indent=2, ensure_ascii=False))
    else:
        _show(reporter, rows)
    errors = [row["check"] for row in rows if row["severity"] == "error"]
    if errors:
        raise EnvironmentUnfit(f"not fit: {', '.join(errors)}", remedy="mend what the table names")


def _show(reporter: Reporter, rows: list[dict[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="doctor", title_justify="left")
    for column in ("check", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for row in rows:
        mark = Text(row["severity"], style=_STYLES.get(row["severity"], ""))
        table.add_row(row["check"], mark, Text(row["message"]), Text(row["remedy"]))
    reporter.data_console.print(table)
