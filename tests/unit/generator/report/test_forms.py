"""The forms of the report: text, JSON, trace, page; and the command that writes them."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from rich.console import Console

from bake.errors import EnvironmentUnfit
from generator.commands.report import write
from generator.console.reporter import Reporter
from generator.plan import build_graph
from generator.recipe import load_recipe
from generator.render import render, write_folder
from generator.report import make_report
from generator.report.chart import chart_of
from generator.report.html import as_html
from generator.report.layers import joined, own_layers
from generator.report.model import Layer
from generator.report.text import show
from generator.report.trace import as_trace
from tests.unit.generator.report.conftest import DEMO_LINKS, RECORDS, recorded, step

LAYERS = (
    Layer(target="torch", instruction="RUN uv pip install torch", compressed=2_000_000_000, uncompressed=4_800_000_000),
    Layer(target="image", instruction="COPY /models/ /", compressed=None, uncompressed=3_200_000),
)
CONTENTS = {
    "schema": 1,
    "environment": {"files": 9, "bytes": 900},
    "dead": {"files": 4, "bytes": 4_000_000},
    "kinds": {"headers": {"files": 3, "bytes": 3_000}},
    "packages": [{"name": "torch", "version": "2.11.0", "files": 5, "bytes": 500_000}],
    "duplicates": [{"bytes": 2_000_000, "paths": ["a/x.so", "b/x.so"]}],
}


@pytest.fixture
def report(demo):
    return make_report(demo, DEMO_LINKS, layers=LAYERS, contents=CONTENTS)


def _text(report):
    written = io.StringIO()
    show(Console(file=written, width=160, highlight=False, no_color=True), report)
    return written.getvalue()


class _Page(HTMLParser):
    """Collects what a page holds, and that each element is closed."""

    VOID = ("meta", "rect", "line")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.said = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]
        if tag not in (*self.VOID, "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def test_the_text_names_path_bounds_layers_and_contents(report):
    text = _text(report)

    assert "critical path 14 min 44 s" in text
    assert "CPU seconds of compilers: not recorded" in text
    assert re.search(r"12 min 33 s.*wheel-torch-spline-conv.*compile", text)
    assert re.search(r"image.*COPY /models/ /.*not known.*3\.2 MB", text)
    assert re.search(r"dead in the base's layers.*4\.0 MB.*4", text)


def test_the_text_of_a_bake_that_was_all_cached_has_no_path():
    text = _text(make_report(recorded({"a": [step("x", 0, 0.1, state="cached")]}, seconds=1), None))

    assert "Critical path: each step" not in text
    assert "critical path 0.0 s" in text


def test_the_json_form_has_all_of_the_report(report):
    data = json.loads(json.dumps(report.as_data()))

    assert data["schema"] == 1
    assert {line["name"] for line in data["targets"]} == set(DEMO_LINKS)
    assert data["bounds"]["cpu_seconds"] is None
    assert data["contents"]["dead"]["bytes"] == 4_000_000
    assert sum(entry["seconds"] for entry in data["path"]) == pytest.approx(data["bounds"]["critical_path"])


def test_the_trace_has_a_track_for_each_target_and_times_within_the_bake(report):
    trace = json.loads(as_trace(report))
    tracks = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
    steps = [event for event in trace["traceEvents"] if event["ph"] == "X"]

    assert set(tracks.values()) == set(DEMO_LINKS)
    assert len(steps) == len(report.spans)
    assert all(event["ts"] >= 0 and event["ts"] + event["dur"] <= report.wall * 1e6 + 1 for event in steps)
    assert all(tracks[event["tid"]] == event["args"]["target"] for event in steps)
    assert sum("critical" in event["cat"].split(",") for event in steps) == len(report.path)


def test_the_page_needs_nothing_from_elsewhere_and_is_well_formed(report):
    page = _Page()
    page.feed(as_html(report))

    assert page.open == []
    assert page.links == []
    assert not any(tag in ("script", "link", "img", "iframe") for tag, _ in page.tags)
    assert "@import" not in as_html(report)
    assert "url(" not in as_html(report)


def test_the_page_says_in_words_what_the_chart_shows(report):
    html = as_html(report)
    page = _Page()
    page.feed(html)
    chart = next(attrs for tag, attrs in page.tags if tag == "svg")
    named = {attrs.get("id") for _, attrs in page.tags}

    assert chart["role"] == "img"
    assert set(chart["aria-labelledby"].split()) <= named
    assert html.count(", on the critical path</title>") == len(report.path)
    assert "prefers-color-scheme: dark" in html


def test_text_of_the_record_is_escaped_in_the_page():
    html = as_html(make_report(recorded({"a": [step("RUN <script>alert(1)</script>", 0, 3)]}, seconds=3), None))

    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_failed_bake_shows_its_failure_in_words():
    record = recorded(
        {"torch": [step("install", 0, 30, state="failed")]},
        seconds=31,
        state="failed",
        failure={"exit_status": 1, "text": "target torch: the step failed"},
    )

    html = as_html(make_report(record, None))

    assert "<h1>small: failed</h1>" in html
    assert "target torch: the step failed" in html
    assert "✕ 30 s install" in html


def test_bars_stand_within_the_chart_and_no_two_of_a_lane_overlap(report):
    chart = chart_of(report)

    for row in chart.rows:
        for bar in row.bars:
            assert bar.x >= chart.left
            assert bar.x + bar.width <= chart.width
            assert row.y <= bar.y
            assert bar.y + bar.height <= row.y + row.height
    assert sum(len(row.bars) for row in chart.rows) == len(report.spans)


def test_layers_are_read_from_the_dockerfiles_down_to_the_base(tmp_path):
    for name, text in {
        "torch": 'FROM base\nRUN --mount=type=bind,from=tools,target=/tools \\\n    --mount=x <<"SH"\nset -eu\n'
        "COPY is no instruction here\nuv pip install \\\n    torch\nSH\n",
        "image": "# a comment\nFROM torch\nARG A\nCOPY --link --from=patch /patched/ /\nLABEL x=y\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(text, encoding="utf-8")

    assert own_layers(tmp_path) == (("torch", "RUN uv pip install torch"), ("image", "COPY /patched/ /"))


def test_only_the_last_stage_and_those_it_comes_from_make_layers(tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text(
        "FROM base AS one\nRUN a\nFROM base AS other\nRUN b\nFROM one\nCOPY --from=other /x /x\n", encoding="utf-8"
    )

    assert own_layers(tmp_path) == (("image", "RUN a"), ("image", "COPY /x /x"))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (
            "set -eu\nuv pip install \\\n  torch\nfor x in a b; do\n  use $x || \\\n  echo\ndone\n",
            "uv pip install torch",
        ),
        ("if [ -e x ]; then\n  use x\nfi\n", "use x"),
        ("if a; then\n  b\nfi\nlast one\n", "last one"),
        ('uv pip install x\nrm -rf "$unpacked"\n/opt/env/bin/python -I -S -B /tools/settle.py\n', "uv pip install x"),
    ],
)
def test_neither_a_loop_nor_tidying_up_is_what_a_layer_is_named_by(tmp_path, body, shown):
    (tmp_path / "image").mkdir()
    (tmp_path / "image/Dockerfile").write_text(f'FROM base\nRUN <<"SH"\n{body}SH\n')
    assert own_layers(tmp_path) == (("image", f"RUN {shown}"),)


def test_a_stack_that_is_shared_out_over_layers_counts_each(tmp_path):
    write_folder(render(build_graph(load_recipe("demo").recipe, layer_limit_mib=1000)), tmp_path)
    contexts = tmp_path / "contexts"
    placed = [entry for target, entry in own_layers(contexts) if target == "layers"]

    assert len(placed) == (contexts / "layers" / "Dockerfile").read_text(encoding="utf-8").count(
        "-m conversion.layers.copy_layer"
    )
    assert len(placed) > 1
    assert own_layers(contexts)[-1] == ("image", "COPY /models/ /")


def test_sizes_go_to_their_layers_and_stay_unknown_where_nobody_told():
    assert joined([("torch", "RUN x"), ("image", "COPY y")], [7, 8], None) == (
        Layer(target="torch", instruction="RUN x", compressed=7, uncompressed=None),
        Layer(target="image", instruction="COPY y", compressed=8, uncompressed=None),
    )


def test_a_file_that_cannot_be_written_is_told(report, tmp_path):
    with pytest.raises(EnvironmentUnfit, match="cannot be written"):
        write(Reporter(), report, form="json", output=tmp_path / "absent" / "report.json")


@pytest.mark.parametrize("form", ["text", "json", "html", "trace"])
def test_the_command_writes_each_form_without_an_engine(form, tmp_path):
    shutil.copy(RECORDS / "demo.json", tmp_path / "results.json")
    done = subprocess.run(
        [sys.executable, "-m", "generator", "report", "--format", form, "--output-dir", str(tmp_path), "-o", "out"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(RECORDS.parents[3]), "DOCKER_HOST": "unix:///nowhere.sock", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "out\n"), done.stderr
    assert "wheel-torch-spline-conv" in (tmp_path / "out").read_text(encoding="utf-8")


def test_without_a_bake_the_command_says_so_and_exits_with_two(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "generator", "report", "--output-dir", str(tmp_path)],
        env={"PYTHONPATH": str(RECORDS.parents[3]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "there is no record of a bake" in done.stderr
    assert "bake first" in done.stderr
