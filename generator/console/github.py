"""What GitHub Actions shows of a bake: annotations and a step summary. Pure: text out, nothing read or written.

Workflow commands have the syntax and escapes of GitHub's own client (actions/toolkit, packages/core/src/command.ts).
Both hold names, places and numbers only: a build's output stays in the log, and no value of a variable is in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bake.errors import BuildFailed, EnvironmentUnfit, Interrupted, UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bake.buildx.results import Results
    from bake.errors import UpliftError
    from generator.verification.report import VerificationReport

SHOWN = 10  # annotations that GitHub shows of one step, for each kind
LINES, WIDTH = 12, 300  # of an annotation's message
# A file of ours with a line, where one is known; a registry's host and port are no place.
_PLACE = re.compile(r"(?P<file>[^\s:]*(?:\.toml|\.hcl|Dockerfile))(?::(?P<line>\d+))?(?=$|[:,\s])(?:: )?")
_TITLES: tuple[tuple[type[UpliftError], str], ...] = (
    (UsageError, "wrong usage or recipe"),
    (EnvironmentUnfit, "the surroundings are not fit"),
    (VerificationFailed, "a check failed"),
    (Interrupted, "interrupted"),
    (BuildFailed, "the build failed"),
)


def is_active(environ: Mapping[str, str]) -> bool:
    """Tell whether this runs as a step of GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"


def command(name: str, message: str, **properties: str | int | None) -> str:
    """Write a workflow command: ``::error file=x,line=1::message``; properties without a value are left out."""
    named = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value not in (None, ""))
    return f"::{name}{' ' + named if named else ''}::{_data(message)}"


def warning(text: str) -> str:
    """Write a warning's annotation, with its place where the text begins with one."""
    return command("warning", _short(text), **_place(text))


def failure_annotations(error: UpliftError) -> Iterator[str]:
    """Write a failure's annotations: one for each mistake that has a place of its own, else one for the whole."""
    title = next((text for kind, text in _TITLES if isinstance(error, kind)), "failed")
    mistakes = [line.strip() for line in error.message.splitlines()[1:] if _PLACE.match(line.strip())]
    if isinstance(error, UsageError) and mistakes:
        for line in mistakes[:SHOWN]:
            yield command("error", _short(_PLACE.sub("", line, count=1)), **_place(line), title=title)
        return
    remedy = f"what to do: {error.remedy}" if error.remedy else ""
    message = "\n".join(filter(None, (error.where, *brief(error.message), _short(remedy))))
    yield command("error", message, **_place(error.where or ""), title=title)


def _place(text: str) -> dict[str, str | None]:
    """Give the properties of the place that a text begins with."""
    match = _PLACE.match(text)
    return {} if match is None else {"file": match["file"], "line": match["line"]}


def brief(message: str) -> list[str]:
    """Give what a message says without the output of programs, which begins with a bar in each line."""
    lines = [line for line in message.splitlines() if not line.lstrip().startswith("|")]
    kept = [_short(line) for line in lines if line.strip() != "its last output:"]
    return kept[:LINES] + ([f"… and {len(kept) - LINES} more lines in the log"] if len(kept) > LINES else [])


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
    return "\n".join(lines) + "\n"


def _facts(results: Results, report: VerificationReport | None) -> Iterator[tuple[str, str]]:
    published: Mapping[str, Any] = results.data.get("published") or {}
    digest = published.get("digest") or results.digest_of("image")
    # The tags were written in this order; the one that people use is the last.
    tags = [str(tag) for tag in published.get("tags") or results.data["targets"].get("image", {}).get("tags", ())]
    yield "image", "<br>".join(f"`{_code(tag)}{f'@{digest}' if digest else ''}`" for tag in tags)
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
    """Tell where a wheel came from, as the cache proof has it, and how well the compiler cache served its compile."""
    hits = wheel.get("compiler_cache")
    served = f", {hits['hits']} of {hits['calls']} calls from the compiler cache" if hits else ""
    return f"{wheel.get('origin') or ''}{served}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _cell(value: object) -> str:
    """Make a text fit for a cell of a table, with nothing in it that Markdown or HTML would read."""
    text = _short(" ".join(str(value).split()))
    return re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


def _code(text: str) -> str:
    return re.sub(r"[`|\s]", "", text)
