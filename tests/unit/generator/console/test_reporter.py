"""What the reporter writes of text that others chose."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree as ET

import pytest

from bake.errors import BuildFailed
from generator.console.reporter import Reporter

LOG = "the step failed\n::error::mine\n  ::stop-commands::x\n##[add-mask]y\n\x1b]0;title\x07\x9b2J"
TOLD = "the step failed\n| ::error::mine\n  | ::stop-commands::x\n## [add-mask]y\n"


XML = '<a x="##[add-mask]y \x9b2J">\n::error::mine\n  ::stop-commands::x ##vso[x]</a>'


def parsed(text: str) -> tuple[dict[str, str], str | None]:
    element = ET.fromstring(text)
    return element.attrib, element.text


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> tuple[io.StringIO, io.StringIO, Reporter]:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    out, err = io.StringIO(), io.StringIO()
    return out, err, Reporter(stdout=out, stderr=err)


def test_neither_a_terminal_nor_a_ci_system_obeys_it(streams: tuple[io.StringIO, io.StringIO, Reporter]) -> None:
    out, err, reporter = streams
    reporter.data(LOG)
    reporter.note(LOG)
    assert out.getvalue() == TOLD
    assert err.getvalue() == TOLD + "\n"
    reporter.warning(LOG)
    reporter.failure(BuildFailed(LOG, where="target \x1b[31mimage", remedy="\x9b2Jmend"))
    assert "\x1b" not in err.getvalue()
    assert "\x9b" not in err.getvalue()
    assert not [line for line in err.getvalue().splitlines() if line.lstrip().startswith("::")]


def test_annotations_of_our_own_are_the_only_commands(
    streams: tuple[io.StringIO, io.StringIO, Reporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, err, reporter = streams
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    reporter.failure(BuildFailed(LOG))
    reporter.warning("x\r::error::y\x1b[2J")
    commands = [line for line in err.getvalue().splitlines() if line.lstrip().startswith("::")]
    assert [line.partition(" ")[0].partition("::x")[0] for line in commands] == ["::error", "::warning"]
    assert "\x1b" not in err.getvalue()
    assert "##[" not in err.getvalue()


def test_a_format_for_programs_holds_no_command_and_means_the_same(
    streams: tuple[io.StringIO, io.StringIO, Reporter],
) -> None:
    out, _, reporter = streams
    reporter.document("on:\n  at::x: 1")
    assert out.getvalue() == "on:\n  at::x: 1\n"
    for text, read in ((json.dumps({LOG: [LOG]}, indent=1, ensure_ascii=False), json.loads), (XML, parsed)):
        out.truncate(out.seek(0))
        reporter.document(text)
        written = out.getvalue()
        assert "\x9b" not in written
        assert "##[" not in written
        assert not [line for line in written.splitlines() if line.lstrip().startswith("::")]
        assert read(written) == read(text)
