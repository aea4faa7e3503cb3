from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bake.errors import BuildFailed, VerificationFailed
from generator.console.reporter import Reporter
from generator.verification.report import as_json, read_report, require_passed, show_table

ROW = {
    "check": "version",
    "subject": "torch",
    "expected": "2.11.0",
    "found": "2.0.1",
    "status": "fail",
    "detail": "",
}


def report_file(folder: Path, **changes: object) -> Path:
    path = folder / "report.json"
    path.write_text(json.dumps({"schema": 1, "recipe": "demo", "passed": False, "rows": [ROW], **changes}))
    return path


def test_a_failing_row_is_named_with_status_4(tmp_path: Path) -> None:
    report = read_report(report_file(tmp_path).parent, image="x:1")
    with pytest.raises(VerificationFailed) as caught:
        require_passed(report)
    assert caught.value.exit_status == 4
    assert "version torch: expected 2.11.0, found 2.0.1" in str(caught.value)


def test_a_known_cause_is_named_once_with_its_remedy(tmp_path: Path) -> None:
    seen = "OSError: /opt/env/lib/torch_scatter/_version_cuda.so: undefined symbol: _ZN3c104cuda9SetDeviceEi"
    rows = [{**ROW, "found": seen}, {**ROW, "subject": "torch-sparse", "detail": seen}]
    with pytest.raises(VerificationFailed) as caught:
        require_passed(read_report(report_file(tmp_path, rows=rows).parent, image="x:1"))
    assert str(caught.value).count("known cause: _version_cuda.so was compiled for another torch") == 1
    assert "name its package under [extensions]" in str(caught.value)


def test_a_good_report_passes(tmp_path: Path) -> None:
    rows = [{**ROW, "status": "pass"}]
    require_passed(read_report(report_file(tmp_path, passed=True, rows=rows).parent, image="x:1"))


def test_a_report_without_rows_does_not_pass(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed, match="holds no check"):
        require_passed(read_report(report_file(tmp_path, passed=True, rows=[]).parent, image="x:1"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"schema": 2}', '{"schema": 1, "recipe": "x", "passed": true}'),
        '{"schema": 1, "recipe": "x", "passed": true, "rows": [1]}',
        json.dumps({"schema": 1, "recipe": "x", "passed": True, "rows": [{**ROW, "status": "fine"}]}),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_an_unreadable_report_is_a_failed_build(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(BuildFailed, match="no readable report"):
        read_report(path.parent, image="x:1")


def test_the_state_stands_in_words_without_colour(tmp_path: Path) -> None:
    out = io.StringIO()
    show_table(Reporter(stdout=out), read_report(report_file(tmp_path).parent, image="x:1"))
    assert "FAIL" in out.getvalue()
    assert "\x1b[" not in out.getvalue()


def test_json_names_the_image(tmp_path: Path) -> None:
    data = json.loads(as_json(read_report(report_file(tmp_path).parent, image="x:1")))
    assert data["image"] == "x:1"
    assert data["rows"] == [ROW]
