"""The rows of a verification report, and the guard that turns a crash into a failing row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Sequence

from conversion.failures import describe, read_json

PASS, FAIL, INFO = "pass", "fail", "info"


@dataclass(frozen=True)
class Row:
    """One checked fact.

    Attributes:
        check: version, absent, cuda, library, driver, arch, sass, device, model, model-set, weights-only, checkpoint,
            patch, torch-load, conflict, difference, constraint or report.
        subject: what was checked: a package, an arch, a file.
        expected, found: the two sides, in words; empty where there is nothing to compare.
        status: `PASS`, `FAIL` or `INFO`.
        detail: more, in words.
    """

    check: str
    subject: str
    expected: str
    found: str
    status: str
    detail: str = ""


def judged(check: str, subject: str, expected: str, found: str, ok: bool, detail: str = "") -> Row:
    """A row that passes or fails."""
    return Row(check, subject, expected, found, PASS if ok else FAIL, detail)


def guarded(check: str, subject: str, work: Callable[[], Iterable[Row]]) -> List[Row]:
    """The rows of a check; one failing row with the error's text where the check itself fails."""
    rows: List[Row] = []
    try:
        rows.extend(work())
    except Exception as error:  # noqa: BLE001 - a check must never end the report
        rows.append(Row(check, subject, "the check runs", "it failed", FAIL, describe(error)))
    return rows


def read_rows(path: Path) -> List[Row]:
    """The rows of a report."""
    return [Row(**{name: str(value) for name, value in row.items()}) for row in read_json(path)["rows"]]


def report(recipe: str, rows: Sequence[Row]) -> Dict[str, Any]:
    """The report's JSON document; it passed where no row failed and there is at least one row."""
    passed = bool(rows) and all(row.status != FAIL for row in rows)
    return {"schema": 1, "recipe": recipe, "passed": passed, "rows": [asdict(row) for row in rows]}
