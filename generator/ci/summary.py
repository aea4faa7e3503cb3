"""The summary of a bake in GitHub's Markdown. Pure: text out, nothing read or written.

It holds names, places and numbers only: a build's output stays in the log, and no value of a variable is in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bake.progress.escapes import printable
from generator.console.github import brief, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bake.buildx.results import Results
    from bake.errors import UpliftError
    from generator.verification.report import VerificationReport


NEEDS = ("recipe", "state", "seconds", "targets")  # of the record


def summary(results: Results, report: VerificationReport | None, failure: UpliftError | None = None) -> str:
    """Write the step summary of a bake, in GitHub's Markdown.

    Args:
        results: the record of the bake. report: of its verification, None where it did not come to that.
        failure: what ended the command, None when it was done.
    """
    data = results.data
    state = str(data["state"]) if failure is None else "failed"
    lines = [f"### image-uplift: {_cell(data['recipe'])}: {_cell(state)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in _facts(results, report) if value]
    rows = list(_rows(results))
    if rows:
        wheel = bool(data.get("wheels"))
        head = ["target", "state", "steps run", "steps cached", *(["wheel"] if wheel else []), "seconds"]
        lines += ["", f"| {' | '.join(head)} |", "|---|---|--:|--:|" + ("---|" if wheel else "") + "--:|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    if report is not None and report.failed:
        lines += ["", "Failed checks:", ""]
        lines += [f"- {_cell(row.check)} {_cell(row.subject)}: expected {_cell(row.expected)}" for row in report.failed]
    elif failure is not None:
        lines += ["", *(f"> {_cell(line)}  " for line in filter(None, (failure.where, *brief(failure.message))))]
    return printable("\n".join(lines) + "\n")


def _facts(results: Results, report: VerificationReport | None) -> Iterator[tuple[str, str]]:
    published: Mapping[str, Any] = results.data.get("published") or {}
    digest = published.get("digest") or results.digest_of("image")
    # The tags were written in this order; the one that people use is the last.
    tags = [str(tag) for tag in published.get("tags") or results.data["targets"].get("image", {}).get("tags", ())]
    yield "image", "<br>".join(f"`{_code(f'{tag}@{digest}' if digest else tag)}`" for tag in tags)
    if report is not None:
        passed = sum(row.status == "pass" for row in report.rows)
        asked = passed + len(report.failed)
        yield "verification", f"{'passed' if report.passed else 'FAILED'}: {passed} of {asked} checks"
    yield "seconds", f"{results.data['seconds']:.1f}"


def _rows(results: Results) -> Iterator[list[str]]:
    wheels: Mapping[str, Mapping[str, Any]] = results.data.get("wheels") or {}
    for name in dict.fromkeys((*results.targets, *wheels)):
        steps = [step for step in results.steps_of(name) if step.kind == "instruction"]
        if not steps and name not in wheels:
            continue
        ran = sum(not step.cached and step.started is not None for step in steps)
        cached = sum(step.cached for step in steps)
        seconds = sum(end - start for start, end in results.busy(name))
        state = results.data["targets"].get(name, {}).get("state", "")
        found = [_cell(_origin(wheels.get(name, {})))] if wheels else []
        yield [_cell(name), _cell(state), str(ran), str(cached), *found, f"{seconds:.1f}"]


def _origin(wheel: Mapping[str, Any]) -> str:
    """Tell where a wheel came from, as the cache summary has it, and how well the compiler cache served its compile."""
    counts = wheel.get("compiler_cache") or {}
    served = f", {counts.get('hits')} of {counts['calls']} calls from the compiler cache" if counts.get("calls") else ""
    return f"{wheel.get('origin') or ''}{served}"


def _cell(value: object) -> str:
    """Make a text fit for a cell of a table, with nothing in it that Markdown or HTML would read."""
    text = short(" ".join(str(value).split()))
    return re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


def _code(text: str) -> str:
    return re.sub(r"[`|\s]", "", text)
