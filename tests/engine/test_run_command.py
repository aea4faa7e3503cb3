"""``run`` with real containers: what goes in, what comes out, and what is left when it ends.

Proves the packaging: containers are real, the pipeline in them is a script.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from bake.engine.facts import connect
from bake.engine.gpu_access import Access, access_of
from lab.demo_rootfs import Machine, rootfs_for

pytestmark = pytest.mark.engine

TOP = Path(__file__).parents[2]
NAME = f"run-test-{os.getpid()}"
RECIPE = """\
schema = 2
name = "{name}"
summary = "A small image, run"

[image]
tag = "{image}"

[base]
image = "{image}"
prefix = "/usr"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["six==1.17.0"]

[run]
input = "/input"
output = "/output"
license = "/fs_license.txt"
entrypoint = ["/bin/sh", "-c", '''{script}''', "program"]
arguments = ["{{input}}", "{{output}}", "participant"]
defaults = {{ "--bold_task_type" = "rest", "--fs_license_file" = "{{license}}", "--device" = "{{device}}" }}
resume = ["--resume"]
"""
PATHS = ("--input", "data", "--output", "results/new", "--license", "license.txt")
SHOW = 'echo "$@"; cat /input/scan; cp /fs_license.txt /output/copy; echo to-stderr >&2; touch /input/x; exit 7'


@pytest.fixture(scope="module")
def image():
    """A tiny image: the demo's root file system."""
    return rootfs_for(Machine(say=print), force=False)


@pytest.fixture
def start(tmp_path, image):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scan").write_text("bytes of a scan\n")
    (tmp_path / "data" / "dataset_description.json").write_text("{}")
    (tmp_path / "license.txt").write_text("licence\n")

    def begin(*arguments, script=SHOW, given=PATHS, entrypoint='["/bin/sh", '):
        text = RECIPE.format(name=NAME, image=image, script=script)
        (tmp_path / "r.toml").write_text(text.replace('["/bin/sh", ', entrypoint))
        return subprocess.Popen(
            [sys.executable, "-m", "generator", "-r", "r.toml", "run", *given, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TOP)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture
def run(start):
    def wait(*arguments, **options):
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return wait


def left() -> str:
    command = ["docker", "ps", "--all", "--quiet", "--filter", f"label=io.image-uplift.run={NAME}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_mounts_arguments_streams_and_status(run, tmp_path):
    status, out, err = run("--device", "cpu", "--resume", "--", "--skip_bids_validation", "--bold_task_type", "motor x")
    assert status == 7, err
    program = "/input /output participant --fs_license_file /fs_license.txt --device cpu --resume"
    assert out == f"{program} --skip_bids_validation --bold_task_type motor x\nbytes of a scan\n"
    assert "to-stderr" in err
    assert "Read-only file system" in err
    assert "the container ended with status 7" in err
    assert (tmp_path / "results/new/copy").read_text() == "licence\n"
    assert left() == ""


def test_success_is_exit_0(run):
    assert run("--device", "cpu", script="exit 0")[0] == 0


def test_a_dry_run_prints_a_command_that_does_the_same(run, tmp_path):
    status, out, err = run("--device", "cpu", "--dry-run", "--", "--more")
    assert status == 0, err
    assert not (tmp_path / "results").exists()
    (tmp_path / "results/new").mkdir(parents=True)
    done = subprocess.run(shlex.split(out), check=False, capture_output=True, text=True)
    assert done.returncode == 7
    assert done.stdout.startswith("/input /output participant --bold_task_type rest --fs_license_file")
    assert done.stdout.splitlines()[0].endswith("--more")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stops_and_removes_the_container(start, number):
    process = start("--device", "cpu", script="echo started; sleep 300; echo ended")
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; the container is stopped and removed" in err
    assert "Traceback" not in err
    assert out == ""
    assert time.monotonic() - began < 10
    assert left() == ""


def test_a_program_may_end_in_its_own_way(start):
    script = "trap 'echo saved; exit 0' TERM; echo started; sleep 300 & wait"
    process = start("--device", "cpu", script=script)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert left() == ""


def test_long_output_comes_whole(run):
    status, out, _ = run("--device", "cpu", script="seq 1 200000")
    assert status == 0
    assert out.splitlines() == [str(number) for number in range(1, 200001)]


def test_all_wrong_paths_are_told_before_anything_starts(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, out, err = run("--device", "gpu", given=["--input", "none", "--output", "file"])
    assert (status, out) == (2, "")
    assert "--input: none does not exist; give the folder with the data set" in err
    assert "--output: file is no folder" in err
    assert "--license: missing" in err
    assert "--device: 'gpu' is no device" in err
    assert left() == ""


def test_an_absent_image_is_exit_3(run, tmp_path):
    status, _, err = run("--device", "cpu", "--image", "uplift-test-absent:1")
    assert status == 3
    assert "uplift-test-absent:1: the image is not on this engine" in err
    assert "docker pull uplift-test-absent:1" in err
    assert not (tmp_path / "results").exists()


def test_a_missing_program_is_told_and_leaves_no_container(run):
    status, _, err = run("--device", "cpu", entrypoint='["/no/such/program", ')
    assert status == 127
    assert "the container ended with status 127: its program was not found" in err
    assert left() == ""


def test_bids_and_licence_are_looked_at(run, tmp_path):
    (tmp_path / "data" / "dataset_description.json").unlink()
    (tmp_path / "license.txt").write_text("")
    _, _, err = run("--device", "cpu", script="exit 0")
    assert "has no dataset_description.json" in err
    assert "license.txt is empty" in err


def test_the_gpu_is_asked_of_the_engine(run):
    """Whatever engine this is: with a GPU it gets one, without it is told, and auto runs on the CPU."""
    client = connect()
    able = access_of(client) is not Access.NONE
    client.close()
    status, out, err = run("--device", "0", "--dry-run")
    assert status == (0 if able else 3), err
    assert ("gpu" in out) == able
    assert ("this engine can give no NVIDIA GPU" in err) != able
    status, out, _ = run("--device", "auto", "--dry-run")
    assert status == 0
    assert out.rstrip().endswith("--device 0" if able else "--device cpu")


@pytest.mark.usefixtures("start")
def test_on_a_terminal_the_program_has_one_of_the_same_size(tmp_path, image):
    (tmp_path / "r.toml").write_text(RECIPE.format(name=NAME, image=image, script="sleep 1; stty size; test -t 1"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 123, 0, 0))
    command = [sys.executable, "-m", "generator", "-r", "r.toml", "run", *PATHS, "--device", "cpu"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(TOP)}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the process ends
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    assert b"33 123" in shown
