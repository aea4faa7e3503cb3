from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bake.bakefile import BakeFile
from bake.progress.rawjson import Report, parse_line
from bake.progress.state import Progress

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["digest", "name", "started", "completed", "cached", "error", "vertex", "id", "current", "total", "data",
     "stream", "timestamp", "short", "sourceInfo", "range"]
)  # fmt: skip
ITEM = st.dictionaries(FIELDS, JSON, max_size=8)
LOOKS_LIKE_A_REPORT = st.dictionaries(
    st.sampled_from(["vertexes", "statuses", "logs", "warnings"]), st.lists(ITEM | JSON, max_size=3) | JSON
)


@given(st.text())
def test_any_text_is_taken(line):
    parse_line(line)
    Progress(names=BakeFile(variables=(), targets=(), groups=())).feed(line, now=0.0)


@given(st.lists(LOOKS_LIKE_A_REPORT | JSON, max_size=6))
def test_any_json_is_taken(values):
    progress = Progress(names=BakeFile(variables=(), targets=("a", "b"), groups=()), requested=("a",))
    for value in values:
        progress.feed(json.dumps(value), now=0.0)
    progress.targets()
    progress.failed()


@given(st.binary())
def test_log_data_survives(data):
    line = json.dumps({"logs": [{"vertex": "v", "stream": 1, "data": base64.b64encode(data).decode()}]})
    report = parse_line(line)
    assert isinstance(report, Report)
    assert report.logs[0].data == data.decode("utf-8", errors="replace")


def test_deeply_nested_json_is_text():
    assert isinstance(parse_line('{"a":' + "[" * 100_000), str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T01:00:00.000000001+01:00", 1e-9),
        ("2026-11-23T14:23:09.216480018Z", 1795443789.216480018),
        (None, None),
    ],
)
def test_times(text, expected):
    report = parse_line(json.dumps({"vertexes": [{"digest": "d", "started": text}]}))
    assert isinstance(report, Report)
    assert report.vertexes[0].started == (None if expected is None else pytest.approx(expected, abs=1e-6))


@pytest.mark.parametrize("text", ["yesterday", "0000-00-00T00:00:00Z", "2026-11-23T14:23:09"])
def test_what_has_no_such_time_is_no_report(text):
    line = json.dumps({"vertexes": [{"digest": "d", "started": text}]})
    assert parse_line(line) == line


def test_warning_with_its_place():
    text = base64.b64encode(b"FromAsCasing").decode()
    line = json.dumps(
        {"warnings": [{"vertex": "v", "short": text, "url": "u", "sourceInfo": {"filename": "Dockerfile"},
                       "range": [{"start": {"line": 7}}]}]}
    )  # fmt: skip
    report = parse_line(line)
    assert isinstance(report, Report)
    assert (report.warnings[0].short, report.warnings[0].file, report.warnings[0].line) == (
        "FromAsCasing",
        "Dockerfile",
        7,
    )


def test_an_empty_object_says_nothing():
    assert parse_line("{}\n") == Report()
