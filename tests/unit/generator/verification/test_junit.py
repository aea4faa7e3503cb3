from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from generator.verification.junit import as_junit
from generator.verification.report import Row, VerificationReport


def report(*rows: Row) -> VerificationReport:
    return VerificationReport(recipe="demo", image="x:1", rows=rows)


def row(status: str = "pass", **changes: str) -> Row:
    texts = {"check": "version", "subject": "torch", "expected": "2.11.0", "found": "2.0.1", "detail": "", **changes}
    return Row(status=status, **texts)


def test_one_test_case_per_row() -> None:
    rows = (row(), row("fail", detail="a <tag> & \x1b[1mmore\x00"), row("info", subject=""))
    text = as_junit(report(*rows))
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ')
    suites = ET.fromstring(text)
    (suite,) = suites
    for element in (suites, suite):
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == ("3", "1", "0")
    cases = suite.findall("testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("demo.version", "torch"),
        ("demo.version", "torch"),
        ("demo.version", "version"),
    ]
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "expected 2.11.0, found 2.0.1"
    assert failure.text == "expected 2.11.0, found 2.0.1\na <tag> & �[1mmore�"
    assert [case.find("failure") is None for case in cases] == [True, False, True]
    properties = suite.find("properties/property")
    assert properties is not None
    assert (properties.get("name"), properties.get("value")) == ("image", "x:1")


def test_a_report_without_rows_is_an_error() -> None:
    (suite,) = ET.fromstring(as_junit(report()))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "1")
    assert suite.find("testcase/error") is not None


def test_a_good_report_has_neither() -> None:
    (suite,) = ET.fromstring(as_junit(report(row())))
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")


@given(st.text(), st.text(), st.sampled_from(["pass", "fail", "info"]))
def test_whatever_a_row_holds_is_valid_xml(subject: str, found: str, status: str) -> None:
    text = as_junit(report(row(status, subject=subject, found=found, check=subject)))
    assert len(ET.fromstring(text).findall("testsuite/testcase")) == 1
