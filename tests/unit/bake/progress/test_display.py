from __future__ import annotations

import io
import json

import pytest

from bake.progress.display import HEARTBEAT, JsonLines, PlainLines, ProgressMode, display, settle_mode
from bake.progress.events import BakeEnded, BakeStarted, Cancelling, State, StepLog, StepStarted, Tick
from bake.progress.live import LiveTable
from bake.units import duration, size


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("mode", "stream", "environment", "expected"),
    [
        ("auto", Terminal(), {"TERM": "xterm"}, "rich"),
        ("auto", Terminal(), {"TERM": "xterm", "CI": "true"}, "plain"),
        ("auto", Terminal(), {"TERM": "dumb"}, "plain"),
        ("auto", Terminal(), {}, "plain"),
        ("auto", io.StringIO(), {"TERM": "xterm"}, "plain"),
        ("rich", io.StringIO(), {}, "rich"),
        ("json", Terminal(), {"TERM": "xterm"}, "json"),
    ],
)
def test_what_auto_means(mode, stream, environment, expected):
    assert settle_mode(ProgressMode(mode), stream, environment).value == expected


def _plain(replay, name, requested=("default",)):
    _, events = replay(name, requested)
    stream = io.StringIO()
    lines = PlainLines(stream)
    lines(BakeStarted(at=1000.0, targets=requested))
    for event in events:
        lines(event)
    lines(BakeEnded(at=1010.0, state=State.DONE, seconds=10.0))
    return [line.split("s ", 1)[1] for line in stream.getvalue().splitlines()]


def test_plain_lines_tell_each_step_once(replay):
    lines = _plain(replay, "success")
    assert lines[0] == "bake default"
    assert lines[-1] == "bake done after 10 s"
    assert lines.count("a: 2/3 RUN echo three: started") == 1
    assert sum("RUN echo three: done" in line for line in lines) == 1
    assert not any(line.startswith("c: 2/3 RUN echo three") for line in lines)
    assert any(line.startswith("c: exporting to image: done ") for line in lines)


def test_plain_lines_of_a_cached_build(replay):
    lines = _plain(replay, "cached")
    assert "a: 2/3 RUN echo three: cached" in lines
    assert not any("started" in line and "RUN" in line for line in lines)


def test_plain_lines_of_a_failure(replay):
    lines = _plain(replay, "failure", ("image",))
    assert sum(": failed " in line for line in lines) == 1
    assert any(line.startswith("slow: 1/2 RUN echo slow") and "cancelled" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_a_long_step_gives_signs_of_life(replay):
    _, events = replay("success")
    started = next(
        event for event in events if isinstance(event, StepStarted) and event.step.label.startswith("RUN busybox")
    )
    begun = started.step.started or 0.0
    stream = io.StringIO()
    lines = PlainLines(stream)
    lines(StepStarted(at=begun, step=started.step))
    lines(StepLog(at=begun, step=started.step, line="[3/67] knn.cu"))
    for second in range(1, 95):
        lines(Tick(at=begun + second))
    beats = [line for line in stream.getvalue().splitlines() if "running" in line]
    assert len(beats) == 94 // HEARTBEAT
    assert "running 30 s | [3/67] knn.cu" in beats[0]
    assert "running 1 min 30 s" in beats[2]


def test_json_lines(replay):
    _, events = replay("failure", ("image",))
    stream = io.StringIO()
    listener = JsonLines(stream)
    listener(Tick(at=1.0))
    for event in events:
        listener(event)
    read = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(read) == len(events)
    failed = [item for item in read if item["event"] == "step-ended" and item["step"]["state"] == "failed"]
    assert {item["step"]["owner"] for item in failed} == {"bad"}


def _table(replay, name, requested=("default",), **environment):
    _, events = replay(name, requested)
    stream = Terminal()
    table = LiveTable(stream, {"TERM": "xterm", **environment}, width=120)
    with table:
        table(BakeStarted(at=1000.0, targets=requested))
        for event in events:
            table(event)
            table(Tick(at=event.at))
        table(Cancelling(at=1010.0, signal="SIGINT"))
    return table, stream.getvalue()


def test_the_live_table_has_a_row_per_target(replay):
    table, _ = _table(replay, "success")
    with table.console.capture() as capture:
        table.console.print(table.render())
    text = capture.get()
    for name in ("base", "a", "b", "c"):
        assert f"✓ {name}" in text
    assert "4 of 4 targets done" in text
    assert "SIGINT: ending the build" in text


def test_no_colour_when_nobody_wants_it(replay):
    _, coloured = _table(replay, "failure", ("image",))
    _, plain = _table(replay, "failure", ("image",), NO_COLOR="1")
    assert "\x1b[36m" in coloured or "\x1b[1;31m" in coloured
    assert "\x1b[36m" not in plain
    assert "[31m" not in plain
    assert "1;31m" not in plain
    assert "✗ bad" in plain


def test_the_terminal_is_put_right_after_an_error():
    stream = Terminal()
    with pytest.raises(RuntimeError), display(ProgressMode.RICH, stream=stream, environment={"TERM": "xterm"}):
        raise RuntimeError
    assert stream.getvalue().endswith("\x1b[?25h")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3725, "1 h 02 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5_400_000_000, "5.4 GB"), (2e12, "2.0 TB")]
)
def test_sizes(count, text):
    assert size(count) == text
