from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bake.buildx.results import Results
from bake.errors import BuildFailed, EnvironmentUnfit, UpliftError, UsageError, VerificationFailed
from bake.progress.escapes import printable
from generator.ci.step_summary import step_summary
from generator.ci.summary import summary
from generator.console import github
from generator.console.reporter import Reporter
from generator.verification.report import Row, VerificationReport

FAILURE = BuildFailed(
    "the step failed (exit code 1)\n  step: compile 1/2 RUN make\n  its last output:\n  | secret-looking output\n"
    "  known cause: memory ran out",
    where="build/contexts/torch/Dockerfile:12, target torch",
    remedy="set MAX_JOBS=1, 50% of it",
)


def lines(error: UpliftError) -> list[str]:
    return list(github.failure_annotations(error))


def test_a_failure_is_one_annotation_with_its_place_and_no_output_of_the_build() -> None:
    message = (
        "build/contexts/torch/Dockerfile:12, target torch",
        "the step failed (exit code 1)",
        "  step: compile 1/2 RUN make",
        "  known cause: memory ran out",
        "what to do: set MAX_JOBS=1, 50%25 of it",
    )
    head = "::error file=build/contexts/torch/Dockerfile,line=12,title=the build failed::"
    assert lines(FAILURE) == [head + "%0A".join(message)]


def test_each_mistake_of_a_recipe_is_an_annotation_at_its_line() -> None:
    error = UsageError(
        'the recipe has 2 mistakes:\n  lab.toml:17: stack.archs.0: write "12.0"\n  a,b.toml:31: unknown key',
        remedy="mend",
    )
    assert lines(error) == [
        '::error file=lab.toml,line=17,title=wrong usage or recipe::stack.archs.0: write "12.0"',
        "::error file=a%2Cb.toml,line=31,title=wrong usage or recipe::unknown key",
    ]


def test_of_many_mistakes_only_as_many_as_are_shown() -> None:
    rows = "".join(f"\n  lab.toml:{number}: wrong" for number in range(1, 40))
    assert len(lines(UsageError(f"the recipe has 39 mistakes:{rows}"))) == 10


@pytest.mark.parametrize(
    "where", ["registry.example.org:5000/lab", "127.0.0.1:5000", "--tag", "unix:///var/run/docker.sock"]
)
def test_a_registry_is_no_place_in_a_file(where: str) -> None:
    (line,) = lines(EnvironmentUnfit("refuses the connection", where=where))
    assert line == f"::error title=the surroundings are not fit::{where}%0Arefuses the connection"


def test_a_long_message_is_cut() -> None:
    (line,) = lines(VerificationFailed("\n".join(["x" * 1000] * 100)))
    assert len(line) < 5000
    assert line.endswith("… and 88 more lines in the log")


def test_a_warning_is_an_annotation() -> None:
    assert github.warning("the lock is stale: run\nagain") == "::warning::the lock is stale: run%0Aagain"
    assert github.warning("lab.toml:3: odd") == "::warning file=lab.toml,line=3::lab.toml:3: odd"


@given(st.text(), st.text(min_size=1))
def test_a_command_is_one_line_and_reads_back(message: str, title: str) -> None:
    line = github.command("error", message, title=title)
    assert len(line.splitlines()) == 1 or not {"\n", "\r"} & set(line)
    head, _, data = line[2:].partition("::")
    assert ":" not in head
    assert "," not in head

    def plain(text: str) -> str:
        for escape, char in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(escape, char)
        return text

    assert plain(data) == printable(message.replace("\r", "\n"))
    assert plain(head.removeprefix("error title=")) == printable(title.replace("\r", "\n"))


def said(monkeypatch: pytest.MonkeyPatch, *, active: str | None) -> list[str]:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if active is not None:
        monkeypatch.setenv("GITHUB_ACTIONS", active)
    stdout, stderr = io.StringIO(), io.StringIO()
    reporter = Reporter(stdout=stdout, stderr=stderr)
    reporter.failure(UsageError("wrong", where="lab.toml:3", remedy="mend"))
    reporter.warning("odd")
    assert stdout.getvalue() == ""
    return stderr.getvalue().splitlines()


def test_the_reporter_adds_annotations_under_github_actions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ["error: lab.toml:3: wrong", "  what to do: mend", "warning: odd"]
    assert said(monkeypatch, active=None) == plain
    assert said(monkeypatch, active="false") == plain
    assert said(monkeypatch, active="true") == [
        *plain[:2],
        "::error file=lab.toml,line=3,title=wrong usage or recipe::lab.toml:3%0Awrong%0Awhat to do: mend",
        plain[2],
        "::warning::odd",
    ]


def step(name: str, *, cached: bool, seconds: float = 0.0, shared_with: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "kind": "instruction",
        "state": "cached" if cached else "done",
        "started": "2026-01-01T00:00:00.000000+00:00",
        "completed": f"2026-01-01T00:00:{seconds:09.6f}+00:00",
        "seconds": seconds,
        "cached": cached,
        "shared_with": shared_with,
        "error": "",
    }


def target(*steps: dict[str, Any], state: str = "done", **more: Any) -> dict[str, Any]:
    return {"state": state, "digest": None, "tags": [], "steps": list(steps), **more}


def data(**more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "recipe": "demo",
        "state": "done",
        "seconds": 12.34,
        "targets": {
            "torch": target(step("RUN a", cached=False, seconds=2.5), step("RUN b", cached=True)),
            "image": target(
                step("COPY c", cached=True),
                step("RUN a", cached=False, seconds=2.5, shared_with="torch"),
                digest="sha256:ab",
                tags=["registry.example.org/lab/demo:1"],
            ),
            "verify": target(state="cached"),
        },
        **more,
    }


def report(*, passed: bool = True) -> VerificationReport:
    rows = (
        Row(check="version", subject="torch", expected="2.11.0", found="2.11.0", status="pass"),
        Row(check="device code", subject="a|b", expected="sm_120", found="", status="pass" if passed else "fail"),
        Row(check="difference", subject="x", expected="", found="", status="info"),
    )
    return VerificationReport(recipe="demo", image="", rows=rows)


def test_the_summary_names_image_checks_and_what_ran() -> None:
    assert summary(Results(data()), report()) == (
        "### image-uplift: demo: done\n"
        "\n"
        "| | |\n"
        "|---|---|\n"
        "| image | `registry.example.org/lab/demo:1@sha256:ab` |\n"
        "| verification | passed: 2 of 2 checks |\n"
        "| seconds | 12.3 |\n"
        "\n"
        "| target | state | steps run | steps cached | seconds |\n"
        "|---|---|--:|--:|--:|\n"
        "| torch | done | 1 | 1 | 2.5 |\n"
        "| image | done | 0 | 1 | 0.0 |\n"
    )


def test_the_summary_of_a_push_names_all_tags_that_were_written() -> None:
    published = {"digest": "sha256:cd", "tags": ["r.example.org/demo:1-cd", "r.example.org/demo:1"]}
    text = summary(Results(data(published=published)), None)
    assert "| image | `r.example.org/demo:1-cd@sha256:cd`<br>`r.example.org/demo:1@sha256:cd` |" in text


def test_the_summary_tells_where_each_wheel_came_from() -> None:
    hits = {"hits": 30, "calls": 45}
    wheels = {"wheel-x": {"origin": "store"}, "torch": {"origin": "compiled", "compiler_cache": hits}}
    text = summary(Results(data(wheels=wheels)), None)
    assert "| target | state | steps run | steps cached | wheel | seconds |\n|---|---|--:|--:|---|--:|" in text
    assert "| wheel-x |  | 0 | 0 | store | 0.0 |" in text
    assert "| torch | done | 1 | 1 | compiled, 30 of 45 calls from the compiler cache | 2.5 |" in text
    assert "| image | done | 0 | 1 |  | 0.0 |" in text


def test_the_summary_of_a_failure_says_which_and_holds_no_output() -> None:
    text = summary(Results(data(state="failed")), None, FAILURE)
    assert text.startswith("### image-uplift: demo: failed\n")
    assert "> the step failed (exit code 1)" in text
    assert "secret-looking" not in text
    failed = summary(Results(data()), report(passed=False), VerificationFailed("1 of 2 checks failed"))
    assert failed.startswith("### image-uplift: demo: failed\n")
    assert "| verification | FAILED: 1 of 2 checks |" in failed
    assert "- device code a\\|b: expected sm\\_120" in failed


def test_the_summary_holds_no_command_and_no_control_sequence() -> None:
    hostile = "x\x1b[2J\x9b2J\u202e##[add-mask]y\n::error::z"
    steps = target(step(hostile, cached=False), state=hostile)
    published = {"digest": hostile, "tags": [hostile]}
    content = data(recipe=hostile, state=hostile, targets={hostile: steps}, published=published)
    text = summary(Results(content), None, BuildFailed(hostile, where=hostile))
    assert not re.search(r"^\s*::|##\w*\[|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text, re.MULTILINE)


def write(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "results.json.new").write_text(json.dumps(content))
    (folder / "results.json.new").replace(folder / "results.json")


def bake_that_fails(folder: Path) -> None:
    write(folder, data(targets={"torch": target()}, state="failed"))
    raise FAILURE


def test_the_summary_is_appended_however_the_bake_ends(tmp_path: Path) -> None:
    file, build = tmp_path / "summary.md", tmp_path / "build"
    file.write_text("before\n")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(file)}
    with step_summary(build, environ):
        write(build, data(targets={"torch": target()}))
    with pytest.raises(BuildFailed), step_summary(build, environ):
        bake_that_fails(build)
    heads = [line for line in file.read_text().splitlines() if line.startswith(("before", "###"))]
    assert heads == ["before", "### image-uplift: demo: done", "### image-uplift: demo: failed"]


def test_there_is_no_summary_of_an_earlier_bake_or_elsewhere(tmp_path: Path) -> None:
    file, build = tmp_path / "summary.md", tmp_path / "build"
    write(build, data())
    with pytest.raises(BuildFailed), step_summary(build, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(file)}):
        raise FAILURE
    with step_summary(build, {"GITHUB_STEP_SUMMARY": str(file)}):
        write(build, data())
    assert not file.exists()


def test_a_summary_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    with step_summary(tmp_path, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "no/summary.md")}):
        write(tmp_path, data(targets={"torch": target()}))
