"""Looks for known causes in a log and shows what to do: ``python -m generator diagnose LOGFILE``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bake.errors import UsageError
from bake.failure.diagnosis import diagnose as look

if TYPE_CHECKING:
    from bake.failure.diagnosis import Diagnosis
    from generator.console.reporter import Reporter

STDIN = "-"


def diagnose(reporter: Reporter, log: str, *, form: str) -> None:
    """Show the known causes that a log names, on stdout; that none is known is said too.

    Args:
        log: path of the log, ``-`` for stdin. form: ``table`` or ``json``.

    Raises:
        UsageError: the log cannot be read.
    """
    diagnosis = _read(log)
    name = "stdin" if log == STDIN else log
    if form == "json":
        reporter.document(_as_json(name, diagnosis))
    elif diagnosis.found:
        _show(reporter, name, diagnosis)
    else:
        reporter.data(f"{name}: no known cause of a failure in {diagnosis.lines} lines")


def _read(log: str) -> Diagnosis:
    try:
        with open(0 if log == STDIN else log, encoding="utf-8", errors="replace", closefd=log != STDIN) as lines:
            return look(lines)
    except OSError as error:
        raise UsageError(
            f"the log can't be read: {error.strerror or error}",
            where=log,
            remedy="give the path of a text file, or - for what is piped in",
        ) from None


def _as_json(name: str, diagnosis: Diagnosis) -> str:
    rows = [
        {
            "cause": entry.known.id,
            "line": entry.line,
            "text": entry.text,
            "count": entry.count,
            "means": entry.known.message,
            "remedy": entry.known.remedy,
        }
        for entry in diagnosis.found
    ]
    return json.dumps({"log": name, "lines": diagnosis.lines, "findings": rows}, indent=2, ensure_ascii=False)


def _show(reporter: Reporter, name: str, diagnosis: Diagnosis) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{name}: {len(diagnosis.found)} known in {diagnosis.lines} lines", title_justify="left")
    for column in ("line", "the log says", "it means", "what to do"):
        table.add_column(column, overflow="fold")
    for entry in diagnosis.found:
        place = f"{entry.line}" + (f" ({entry.count} times)" if entry.count > 1 else "")
        cells = (place, entry.text, entry.known.message, entry.known.remedy)
        table.add_row(*(Text(cell) for cell in cells))
    reporter.data_console.print(table)
