from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[4]
COMMANDS = (["--help"], ["--version"], ["-r", "demo", "plan"], ["-r", "demo", "plan", "--format", "json"])


def shell(redirection: str, *command: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the command line with a redirection of sh."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "generator", *command],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("redirection", "reason"), [(">/dev/full", "No space left"), (">&-", "Bad file descriptor")])
def test_a_result_that_can_not_be_written_is_said(command: list[str], redirection: str, reason: str) -> None:
    done = shell(redirection, *command)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: stdout can't be written: {reason}")
    assert "what to do" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_who_has_gone_ends_it_quietly(command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "generator", *command], cwd=TOP, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_a_mistake_keeps_its_status_where_nobody_can_read_of_it(redirection: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("x")
    assert shell(redirection, "-r", str(tmp_path / "bad.toml"), "plan").returncode == 2
    assert shell(redirection, "frobnicate").returncode == 2


def test_a_closed_stdin_is_no_log() -> None:
    done = shell("<&-", "diagnose", "-")
    assert done.returncode == 2
    assert "the log can't be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_streams_closed_are_no_place_for_files(tmp_path: Path) -> None:
    done = shell("<&- >&- 2>&-", "-r", "demo", "render", "-o", "out", cwd=tmp_path)
    assert done.returncode == 3
    assert (tmp_path / "out/docker-bake.hcl").read_text().rstrip().endswith("}")
