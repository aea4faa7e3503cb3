"""The driver against a stand-in for the docker command: every test runs in a process of its own, as users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bake.buildx import results
from bake.buildx.driver import BakeRequest, run_bake
from bake.errors import BuildFailed, DeadlineReached, EnvironmentUnfit, Interrupted, UsageError
from bake.progress.events import BakeEnded, BakeStarted, Cancelling, Event, State, Tick

STREAMS = Path(__file__).parents[1] / "streams"
HCL = 'variable "TAG" {\n  default = "x"\n}\ntarget "base" {\n}\ntarget "a" {\n}\ntarget "b" {\n}\ntarget "c" {\n}\n'
PROGRAM = """
import sys
from pathlib import Path
from bake.buildx.driver import BakeRequest, run_bake
from bake.errors import UpliftError
try:
    run_bake(BakeRequest(file=Path(sys.argv[1])), lambda event: print(event.kind, flush=True)).raise_for_failure()
except UpliftError as error:
    print(error, flush=True)
    sys.exit(error.exit_status)
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Put a shell script on PATH as ``docker``; returns the function that writes it."""

    def write(script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / "docker"
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return path

    return write


@pytest.fixture
def bake_file(tmp_path):
    path = tmp_path / "docker-bake.hcl"
    path.write_text(HCL)
    return path


def test_a_recorded_build_is_told_and_ends_done(docker, bake_file):
    docker(f"cat {STREAMS}/success.jsonl >&2\n")
    events: list[Event] = []
    outcome = run_bake(BakeRequest(file=bake_file), events.append)
    assert outcome.state is State.DONE
    assert outcome.raise_for_failure() is outcome
    assert isinstance(events[0], BakeStarted)
    assert isinstance(events[-1], BakeEnded)
    assert any(isinstance(event, Tick) for event in events)
    assert {step.target for step in outcome.steps} == {"", "base", "a", "b", "c"}


def test_a_failed_build_is_an_outcome_with_its_reason(docker, bake_file):
    docker(f"cat {STREAMS}/failure.jsonl >&2\nexit 1\n")
    outcome = run_bake(BakeRequest(file=bake_file), lambda _: None)
    assert outcome.state is State.FAILED
    assert outcome.failed[0].line == 4
    with pytest.raises(BuildFailed, match="exit code 7"):
        outcome.raise_for_failure()


@pytest.mark.parametrize(
    ("cached", "status", "state"),
    [(False, 0, State.DONE), (False, 1, State.CANCELLED), (True, 0, State.CACHED), (True, 1, State.CANCELLED)],
)
def test_what_was_cancelled_in_a_build_that_ended_well_had_become_needless(docker, bake_file, cached, status, state):
    begun, ended = "2026-11-24T06:33:38.4Z", "2026-11-24T06:33:38.8Z"
    merge = {"digest": "sha256:1", "name": "[a 3/4] LINK COPY /models/ /", "started": begun, "cached": cached}
    lines = [{"vertexes": [merge]}, {"vertexes": [{**merge, "completed": ended, "error": "context canceled"}]}]
    stream = "\n".join(json.dumps(line) for line in lines)
    docker(f"cat >&2 <<'END'\n{stream}\nEND\nexit {status}\n")
    shown: dict[str, State] = {}

    def listener(event):
        if hasattr(event, "step"):
            shown[event.step.name] = event.step.state

    (step,) = run_bake(BakeRequest(file=bake_file), listener).steps
    assert (step.state, shown) == (state, {merge["name"]: state})


def test_at_its_deadline_a_build_is_ended(docker, bake_file):
    docker("trap 'exit 1' INT\necho started >&2\nsleep 60 & wait $!\n")
    events: list[Event] = []
    outcome = run_bake(BakeRequest(file=bake_file, deadline=time.time() + 0.3), events.append)
    assert outcome.state is State.CANCELLED
    assert [event.signal for event in events if isinstance(event, Cancelling)] == ["the deadline"]
    assert outcome.seconds < 30
    with pytest.raises(DeadlineReached) as caught:
        outcome.raise_for_failure()
    assert caught.value.exit_status == 5


def test_a_build_that_has_failed_by_its_deadline_is_told_as_failed(docker, bake_file):
    docker(f"cat {STREAMS}/failure.jsonl >&2\nsleep 1\nexit 1\n")
    outcome = run_bake(BakeRequest(file=bake_file, deadline=time.time() + 0.5), lambda _: None)
    assert (outcome.state, bool(outcome.failed)) == (State.FAILED, True)


def test_what_buildx_gets(docker, bake_file, tmp_path, monkeypatch):
    docker(f'printf "%s\\n" "$@" >{tmp_path}/arguments\nenv >{tmp_path}/environment\npwd >{tmp_path}/directory\n'
           f'echo >{tmp_path}/metadata.json \'{{"c": {{"containerimage.digest": "sha256:1"}}}}\'\ncat\n')  # fmt: skip
    monkeypatch.setenv("TAG", "from the environment")
    request = BakeRequest(
        file=bake_file,
        targets=("c",),
        overrides={"c.tags": "r/c:1", "c.output": "type=registry"},
        builder="lab",
        no_cache=True,
        push=True,
        metadata_file=tmp_path / "metadata.json",
        allow=(Path("/etc/ssl"),),
        environment={"DOCKER_HOST": "unix:///tmp/x"},
    )
    outcome = run_bake(request, lambda _: None)
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:2] == ["buildx", "bake"]
    for pair in (
        ("--builder", "lab"),
        ("--progress", "rawjson"),
        ("--file", str(bake_file)),
        ("--set", "c.tags=r/c:1"),
    ):
        assert arguments[arguments.index(pair[1]) - 1] == pair[0]
    assert {"--no-cache", "--push", "--allow=fs.read=/etc/ssl", "c"} <= set(arguments)
    environment = dict(
        line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line
    )
    assert "TAG" not in environment
    assert environment["BUILDX_METADATA_PROVENANCE"] == "disabled"
    assert environment["BUILDX_GIT_INFO"] == "false"
    assert environment["DOCKER_HOST"] == "unix:///tmp/x"
    assert (tmp_path / "directory").read_text().strip() == str(bake_file.parent)
    assert outcome.metadata == {"c": {"containerimage.digest": "sha256:1"}}


def test_variables_reach_the_bake_file(docker, bake_file, tmp_path, monkeypatch):
    docker(f'echo "$TAG" >{tmp_path}/tag\n')
    monkeypatch.setenv("TAG", "from the environment")
    run_bake(BakeRequest(file=bake_file, variables={"TAG": "meant"}), lambda _: None)
    assert (tmp_path / "tag").read_text() == "meant\n"


def test_metadata_of_an_earlier_bake_is_not_taken_for_this_one(docker, bake_file, tmp_path):
    docker("exit 1\n")
    (tmp_path / "metadata.json").write_text('{"c": {}}')
    outcome = run_bake(BakeRequest(file=bake_file, metadata_file=tmp_path / "metadata.json"), lambda _: None)
    assert outcome.metadata == {}
    assert not (tmp_path / "metadata.json").exists()


def test_no_docker_command(bake_file, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EnvironmentUnfit, match="no docker command"):
        run_bake(BakeRequest(file=bake_file), lambda _: None)


def test_no_bake_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        run_bake(BakeRequest(file=tmp_path / "none.hcl"), lambda _: None)


def test_no_buildx(docker, bake_file):
    docker(f"cat {STREAMS}/errors/buildx-absent.jsonl >&2\nexit 1\n")
    with pytest.raises(EnvironmentUnfit, match="no buildx"):
        run_bake(BakeRequest(file=bake_file), lambda _: None).raise_for_failure()


def test_a_listener_that_fails_ends_the_client(docker, bake_file, tmp_path):
    docker(f"echo $$ >{tmp_path}/pid\necho line\nexec sleep 60\n")

    def listener(event):
        if event.kind == "text":
            raise RuntimeError("of the listener")

    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="of the listener"):
        run_bake(BakeRequest(file=bake_file), listener)
    assert time.monotonic() - begun < 5
    assert not _alive(int((tmp_path / "pid").read_text()))


def test_a_build_that_ends_well_after_the_signal_is_cancelled_all_the_same(docker, bake_file):
    docker("trap '' INT TERM\necho line\nsleep 0.5\nexit 0\n")

    def listener(event):
        if event.kind == "text":
            os.kill(os.getpid(), signal.SIGTERM)

    outcome = run_bake(BakeRequest(file=bake_file), listener)
    assert outcome.state is State.CANCELLED
    assert isinstance(outcome.failure, Interrupted)


def test_handlers_are_put_back(docker, bake_file):
    docker("exit 0\n")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run_bake(BakeRequest(file=bake_file), lambda _: None)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_it_runs_in_another_thread_too(docker, bake_file):
    docker(f"cat {STREAMS}/success.jsonl >&2\n")
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run_bake(BakeRequest(file=bake_file), lambda _: None)))
    thread.start()
    thread.join(20)
    assert outcomes[0].state is State.DONE


# A client of two processes, like docker and its plugin; the second one holds the output open.
STUBBORN = "trap '' INT TERM\nsleep 60 &\necho $! >{folder}/second\necho $$ >{folder}/first\nwait\nwait\nwait\n"
OBEDIENT = "trap 'kill $!; exit 130' INT\nsleep 60 &\necho $! >{folder}/second\necho $$ >{folder}/first\nwait\n"

PATIENT = "from bake.buildx import client\nclient.GRACE = (60.0, 60.0, 60.0)\n" + PROGRAM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("client", [OBEDIENT, STUBBORN], ids=["obedient", "stubborn"])
def test_a_signal_to_python_alone_ends_everything(docker, bake_file, tmp_path, client, number):
    docker(client.format(folder=tmp_path))
    process = _started(bake_file, tmp_path)
    process.send_signal(number)
    output, _ = process.communicate(timeout=40)  # the client's children would stay for 60 s
    assert process.returncode == Interrupted.exit_status
    assert f"cancelled by {number.name}" in output
    _assert_gone(tmp_path)


def test_a_second_and_third_signal_hurry_it_up(docker, bake_file, tmp_path):
    docker(STUBBORN.format(folder=tmp_path))
    process = _started(bake_file, tmp_path, PATIENT)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    output, _ = process.communicate(timeout=40)  # waiting out the graces would take 120 s
    assert process.returncode == Interrupted.exit_status
    assert "Traceback" not in output
    _assert_gone(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent death signal is Linux's")
def test_a_killed_python_leaves_no_client_behind(docker, bake_file, tmp_path):
    docker(OBEDIENT.format(folder=tmp_path))
    process = _started(bake_file, tmp_path)
    process.kill()
    process.communicate(timeout=20)
    _assert_gone(tmp_path)


def test_a_long_stream_costs_little(docker, bake_file, tmp_path):
    line = (STREAMS / "success.jsonl").read_text().splitlines()[-1]
    (tmp_path / "long").write_text(f"{line}\n" * 50_000)
    docker(f"cat {tmp_path}/long >&2\n")
    begun = time.process_time()
    run_bake(BakeRequest(file=bake_file), lambda _: None)
    assert time.process_time() - begun < 15  # quadratic copying takes minutes


def _started(bake_file, folder, program=PROGRAM):
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(bake_file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 120
    while not (folder / "first").exists() or not (folder / "first").read_text():
        assert time.monotonic() < deadline, "the client did not start"
        time.sleep(0.02)
    return process


def _assert_gone(folder):
    deadline = time.monotonic() + 30
    pids = [int((folder / name).read_text()) for name in ("first", "second")]
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.02)


def _alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_results_tell_json(docker, bake_file, tmp_path):
    docker(f"cat {STREAMS}/success.jsonl >&2\n")
    outcome = run_bake(BakeRequest(file=bake_file), lambda _: None)
    path = results.record(outcome, recipe="demo", folder=tmp_path / "build")
    assert json.loads(path.read_text())["state"] == "done"
