from __future__ import annotations

import io

from bake.assets import Request
from bake.assets.shown import Bar, Lines, shown

REQUEST = Request(name="tool", url="http://x/tool.run", file="tool.run", sources=("http://x/tool.run",))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_at_the_start_and_each_tenth():
    stream = io.StringIO()
    lines = Lines(stream, clock=lambda: 0.0)
    lines.began(REQUEST, "http://x/tool.run", 0, 1000)
    for _ in range(100):
        lines.came(10)
    written = stream.getvalue().splitlines()
    assert written[0] == "tool: 1.0 kB, from http://x/tool.run"
    assert written[1] == "tool: 100 B (10 %)"
    assert len(written) == 11


def test_lines_after_a_silence_and_without_a_known_size():
    now = iter([0.0, 10.0, 40.0])
    stream = io.StringIO()
    lines = Lines(stream, clock=lambda: next(now))
    lines.began(REQUEST, "http://x/tool.run", 500, None)
    lines.came(10)
    lines.came(10)
    assert stream.getvalue().splitlines() == [
        "tool: going on at 500 B, unknown size, from http://x/tool.run",
        "tool: 520 B",
    ]


def test_a_bar_on_a_terminal():
    stream = Terminal()
    with shown(stream, {"TERM": "xterm"}) as watcher:
        assert isinstance(watcher, Bar)
        watcher.began(REQUEST, "http://x/tool.run", 500, 1000)
        watcher.came(500)
        watcher.said("tool: [done]")
    assert "tool.run" in stream.getvalue()
    assert "1.0/1.0 kB" in stream.getvalue()
    assert "tool: [done]" in stream.getvalue()


def test_lines_in_ci_even_on_a_terminal():
    with shown(Terminal(), {"TERM": "xterm", "CI": "1"}) as watcher:
        assert isinstance(watcher, Lines)
