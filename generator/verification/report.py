"""Reads the report of the verify target and writes it for people and programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from bake import untrusted
from bake.errors import BuildFailed, VerificationFailed
from bake.failure.causes import Speaker, find_cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from generator.console.reporter import Reporter

SCHEMA = 1
REPORT = "report.json"
_MARKS = {"pass": "ok", "fail": "FAIL", "info": "-"}
_STYLES = {"pass": "green", "fail": "bold red", "info": "dim"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One check: what was asked, what was found, and whether they agree (``pass``, ``fail`` or ``info``)."""

    check: str
    subject: str
    expected: str
    found: str
    status: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """All rows of one verification; whether it passed follows from them."""

    recipe: str
    image: str
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """True where there are rows, and none failed."""
        return bool(self.rows) and not self.failed

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows that failed."""
        return tuple(row for row in self.rows if row.status == "fail")


def read_report(folder: Path, *, image: str) -> VerificationReport:
    """Read the report from the folder that the verify target exported.

    Raises:
        BuildFailed: the file is missing, no regular file, too large, not JSON, or of another version.
    """
    try:
        return parse_report(untrusted.read(folder, REPORT), image=image)
    except (OSError, ValueError) as error:
        raise BuildFailed(
            f"the verification left no readable report: {error}",
            where=str(folder / REPORT),
            remedy="bake again; if it stays so, report it with the build's log",
        ) from error


def parse_report(text: str | bytes, *, image: str) -> VerificationReport:
    """Read a report from its text.

    Raises:
        ValueError: it is not JSON, or not a report of this version.
    """
    try:
        data: Any = json.loads(text)
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']}")
        rows = tuple(Row(**{name: str(value) for name, value in row.items()}) for row in data["rows"])
        if strange := next((row.status for row in rows if row.status not in _MARKS), None):
            raise ValueError(f"status {strange}")
        return VerificationReport(recipe=str(data["recipe"]), image=image, rows=rows)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a report: {type(error).__name__}: {error}") from None


def merged(report: VerificationReport, more: VerificationReport) -> VerificationReport:
    """One report with the rows of both."""
    return replace(report, rows=(*report.rows, *more.rows))


def held_against(report: VerificationReport, spec: Mapping[str, Any]) -> VerificationReport:
    """Add a failing row for each check that the specification asks for and a report without failures says nothing of.

    Args:
        spec: ``verify.json``, as the generator wrote it.
    """
    if report.failed:  # a check that broke off leaves fewer rows, and has said so
        return report
    missing = (
        Row(check=check, subject=subject, expected="a row in the report", found="none", status="fail")
        for check, subject in wanted(spec)
        if not any(row.check == check and fnmatchcase(row.subject, subject) for row in report.rows)
    )
    return replace(report, rows=(*report.rows, *missing))


def wanted(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Check and subject (a pattern) of each row that there has to be."""
    for check, subjects in (("version", "versions"), ("absent", "absent"), ("sass", "extensions")):
        yield from ((check, subject) for subject in spec[subjects])
    if "cuda" in spec:
        yield from (("cuda", "torch"), ("library", "torch"))
        yield from (("arch", arch.partition("+")[0]) for arch in spec["archs"])
    yield ("driver", "NVIDIA_REQUIRE_CUDA")
    held_back = [name for name, rule in spec["device"].items() if rule["action"] == "cpu"] if spec["cards"] else []
    yield from (("device", f"{name} on the CPU") for name in held_back)
    yield from (("model-set", models["name"]) for models in spec["models"]["sets"])
    if spec["patch_roots"]:
        yield ("patch", "*")
    if spec["look_roots"]:
        yield ("torch-load", "*")
    yield from (("conflict", "*"), ("constraint", "*"))


def as_json(report: VerificationReport) -> str:
    """Write the report as JSON, with the image that was checked."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "recipe": report.recipe,
            "image": report.image,
            "passed": report.passed,
            "rows": [vars(row) for row in report.rows],
        },
        indent=2,
        ensure_ascii=False,
    )


def show_table(reporter: Reporter, report: VerificationReport) -> None:
    """Print the report as a table on stdout; the state stands in words, colour only repeats it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{report.recipe}: checks on {report.image}", title_justify="left")
    for column in ("", "check", "subject", "expected", "found", "detail"):
        table.add_column(column, overflow="fold")
    for row in report.rows:
        mark = Text(_MARKS.get(row.status, row.status), style=_STYLES.get(row.status, ""))
        cells = (row.check, row.subject, row.expected, row.found, row.detail)
        table.add_row(mark, *(Text(cell) for cell in cells))
    reporter.data_console.print(table)


_NOT_DELIVERED = "the image was not tagged or pushed; mend the recipe, or the package named above, and bake again"


def require_passed(report: VerificationReport, *, remedy: str = _NOT_DELIVERED) -> None:
    """Let a good report through.

    Raises:
        VerificationFailed: a row failed; the message names every such row.
    """
    if report.passed:
        return
    lines = [
        f"{row.check} {row.subject}: expected {row.expected or '-'}, found {row.found or '-'}"
        + (f" ({row.detail})" if row.detail else "")
        for row in report.failed
    ] or ["the report holds no check"]
    known = _known_causes(report.failed)
    raise VerificationFailed(
        "\n  ".join([f"{len(lines)} of {len(report.rows)} checks failed:", *lines, *known]),
        where=report.image,
        remedy=remedy,
    )


def _known_causes(rows: tuple[Row, ...]) -> list[str]:
    """What is known of what the failed checks saw, such as a library compiled for another torch; each cause once."""
    known = (find_cause(f"{row.found}\n{row.detail}", speaker=Speaker.PROGRAM) for row in rows)
    return list(dict.fromkeys(f"known cause: {entry.message}; {entry.remedy}" for entry in known if entry))
