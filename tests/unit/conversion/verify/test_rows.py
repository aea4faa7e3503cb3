from __future__ import annotations

from typing import TYPE_CHECKING

from conversion.verify import rows

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_check_that_crashes_is_a_failing_row_and_keeps_what_it_found() -> None:
    def work() -> Iterator[rows.Row]:
        yield rows.judged("version", "a", "1", "1", True)
        raise ZeroDivisionError("of all things")

    first, second = rows.guarded("version", "environment", work)
    assert first.status == "pass"
    assert (second.status, second.detail) == ("fail", "ZeroDivisionError: of all things")


def test_the_report_passes_only_with_rows_and_without_a_failing_one() -> None:
    good = rows.judged("version", "a", "1", "1", True)
    told = rows.Row("difference", "b", "1", "2", rows.INFO)
    assert rows.report("demo", [good, told])["passed"] is True
    assert rows.report("demo", [])["passed"] is False
    failing = rows.report("demo", [good, rows.judged("version", "a", "1", "2", False)])
    assert failing["passed"] is False
    assert failing["rows"][1] == {
        "check": "version",
        "subject": "a",
        "expected": "1",
        "found": "2",
        "status": "fail",
        "detail": "",
    }
