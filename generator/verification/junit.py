"""Writes the report of a verification as JUnit XML, one test case per row, for CI systems that show such reports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from generator.verification.report import Row, VerificationReport

# What XML 1.0 cannot hold, not even escaped (section 2.2, Char).
_UNWRITABLE = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: VerificationReport) -> str:
    """Write the report; one without rows has an error in it."""
    incomplete = not report.rows
    counts = {
        "tests": str(len(report.rows) + incomplete),
        "failures": str(len(report.failed)),
        "errors": str(int(incomplete)),
    }
    suites = ET.Element("testsuites", {"name": "verify", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": _text(report.recipe), "skipped": "0", **counts})
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", {"name": "image", "value": _text(report.image)})
    for row in report.rows:
        _case(suite, report.recipe, row)
    if incomplete:
        case = ET.SubElement(suite, "testcase", {"classname": _text(report.recipe), "name": "report"})
        ET.SubElement(case, "error", {"message": "the report holds no check"})
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _case(suite: ET.Element, recipe: str, row: Row) -> None:
    names = {"classname": _text(f"{recipe}.{row.check}"), "name": _text(row.subject or row.check)}
    case = ET.SubElement(suite, "testcase", names)
    said = f"expected {row.expected or '-'}, found {row.found or '-'}" + (f"\n{row.detail}" if row.detail else "")
    if row.status == "fail":
        failure = ET.SubElement(case, "failure", {"message": _text(said.partition("\n")[0]), "type": _text(row.check)})
        failure.text = _text(said)
    else:
        ET.SubElement(case, "system-out").text = _text(said)


def _text(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
