from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bake.errors import BuildFailed, EnvironmentUnfit, UsageError
from bake.failure.causes import Speaker, causes, find_cause
from bake.failure.explain import explain, failed_steps
from bake.progress.events import State, Step

ERRORS = Path(__file__).parents[1] / "streams" / "errors"

# Recorded with engine 28.5.2 and buildx 0.29.1: name of the stream, exit status, cause, text that must be shown.
RECORDED = [
    ("engine-none", 3, "engine-absent", "unix:///tmp/bk/dead.sock"),
    ("engine-denied", 3, "engine-denied", "unix:///var/run/docker.sock"),
    ("engine-gone", 3, "engine-lost", "broke while it was building"),
    ("buildx-absent", 3, "buildx-unfit", "no buildx"),
    ("unknown-flag", 3, "buildx-unfit", "too old"),
    ("no-builder", 3, "builder-absent", "nosuch"),
    ("disk-tar", 3, "disk-full", "exporting to client tarball"),
    ("disk-run", 3, "disk-full", "Dockerfile.shm:2"),
    ("disk-export", 3, "export-broken", "context canceled"),
    ("base-refused", 3, "registry-refused", "127.0.0.1:5998"),
    ("push-refused", 3, "registry-refused", "exporting to image"),
    ("cacheto-refused", 3, "registry-refused", "exporting cache to registry"),
    ("base-dns", 3, "registry-name", "nosuch.invalid"),
    ("base-unresolvable", 3, "registry-name", "docker.io/library/nosuch-base:1"),
    ("from-absent", 3, "registry-name", "docker.io/library/nosuchstage"),
    ("push-dns", 3, "registry-name", "nosuch.invalid"),
    ("base-tls", 3, "registry-certificate", "unknown authority"),
    ("push-tls", 3, "registry-certificate", "/etc/docker/certs.d/192.0.2.2:5945/ca.crt"),
    ("base-401", 3, "registry-login", "docker login"),
    ("push-401", 3, "registry-login", "docker login"),
    ("base-denied", 3, "registry-login", "insufficient_scope"),
    ("push-denied", 3, "registry-login", "insufficient_scope"),
    ("base-403", 3, "registry-forbidden", "403 Forbidden"),
    ("push-403", 3, "registry-forbidden", "403 Forbidden"),
    ("base-500", 3, "registry-error", "500 Internal Server Error"),
    ("push-500", 3, "registry-error", "500 Internal Server Error"),
    ("push-413", 3, "registry-too-large", "client_max_body_size"),
    ("push-429", 3, "registry-rate", "429 Too Many Requests"),
    ("push-503", 3, "registry-error", "503 Service Unavailable"),
    ("push-plain-http", 3, "registry-plain-http", "does not speak TLS"),
    ("base-missing", 3, "image-absent", "127.0.0.1:5917/no/such:1"),
    ("secret", 3, "secret-absent", "/tmp/nosuch"),
    ("target-unknown", 2, "target-unknown", "nosuch"),
    ("hcl-broken", 2, "bake-file-broken", "broken.hcl:2"),
    ("ctxmissing", 1, "context-absent", "nosuchfolder"),
    ("copy-missing", 1, None, "known cause: COPY finds no /nosuch in the build context"),
    ("syntax", 1, None, "unknown instruction: RUNN"),
    ("dockerfile-missing", 1, None, "Dockerfile.nosuch"),
]


def _explained(replay, name):
    progress, _ = replay(f"errors/{name}", ("e",))
    return explain(failed_steps(progress, lambda _: ""), progress.text, 1)


@pytest.mark.parametrize(("name", "status", "cause", "shown"), RECORDED, ids=[row[0] for row in RECORDED])
def test_recorded_errors_are_told_apart(replay, name, status, cause, shown):
    failure = _explained(replay, name)
    assert failure.exit_status == status
    assert shown in str(failure)
    if cause is not None:
        expected = next(row for row in causes() if row.id == cause)
        assert failure.message.startswith(expected.means.partition("{")[0].rstrip(" ("))
        assert failure.remedy is not None


def test_every_recorded_text_has_a_row():
    assert {path.stem for path in ERRORS.glob("*.jsonl")} == {row[0] for row in RECORDED}


def test_the_summary_names_target_step_line_and_last_output(replay):
    progress, _ = replay("failure", ("image",))
    steps = failed_steps(progress, {"bad": "build/contexts/bad/Dockerfile.bad"}.__getitem__)
    failure = explain(steps, progress.text, 1)
    assert isinstance(failure, BuildFailed)
    text = str(failure)
    assert text.startswith("build/contexts/bad/Dockerfile.bad:4, target bad: the step failed (exit code 7)")
    assert "2/3 RUN busybox sleep 1" in text
    assert "| compiling knn.cu" in text
    assert "slow" not in text
    assert "context canceled" not in text


def test_a_place_of_another_file_is_not_used(replay):
    progress, _ = replay("failure", ("image",))
    (step,) = failed_steps(progress, lambda _: "contexts/bad/Dockerfile.other")
    assert (step.file, step.line) == ("", None)


def test_a_failing_program_that_talks_of_connections_is_no_unfit_registry(replay):
    progress, _ = replay("failure", ("image",))
    (step,) = failed_steps(progress, lambda _: "")

    step = dataclasses.replace(
        step, log=('Get "https://pypi.example/simple": dial tcp 192.0.2.1:443: connect: connection refused',)
    )
    assert isinstance(explain((step,), (), 1), BuildFailed)


def test_a_program_that_talks_like_a_registry_is_not_taken_for_one():
    said = 'Get "https://pypi.example/simple": dial tcp 192.0.2.1:443: connect: connection refused'
    engine, program = (find_cause(said, speaker=speaker) for speaker in (Speaker.ENGINE, Speaker.PROGRAM))
    assert engine is not None
    assert engine.failure is EnvironmentUnfit
    assert program is None or program.failure is BuildFailed


LOGS = Path(__file__).parent / "logs"


@pytest.mark.parametrize(
    ("log", "cause", "shown"),
    [
        ("compiler-absent--torch", "there is no C++ compiler", "name g++ in [toolkit] apt"),
        ("nvcc-absent--bash", "there is no CUDA toolkit", "give the recipe a [toolkit]"),
        ("memory-full--cc1plus", "memory ran out", "set MAX_JOBS=1"),
        ("certificate-untrusted--pip", "a certificate that the step does not trust", "GENERATOR_CA_BUNDLE"),
    ],
)
def test_a_failed_step_ends_with_its_known_cause_and_remedy(replay, log, cause, shown):
    progress, _ = replay("failure", ("image",))
    lines = tuple((LOGS / f"{log}.txt").read_text().splitlines())
    failed = next(step for step in progress.steps if step.state is State.FAILED and "RUN" in step.title)
    progress._logs[failed.digest] = type(progress._logs[failed.digest])(lines, maxlen=200)
    assert isinstance(failed, Step)
    failure = explain(failed_steps(progress, lambda _: ""), progress.text, 1)
    assert isinstance(failure, BuildFailed)
    last = str(failure).splitlines()[-2:]
    assert last[0].startswith("  known cause: ")
    assert cause in last[0]
    assert shown in last[1]
    assert "run the same command again" in last[1]


def test_a_full_disk_inside_a_step_is_seen(replay):
    assert isinstance(_explained(replay, "disk-run"), EnvironmentUnfit)


def test_a_killed_client():
    assert isinstance(explain((), (), 137), EnvironmentUnfit)
    assert "status 5" in str(explain((), (), 5))
    assert isinstance(explain((), ("ERROR: failed to find target x",), 1), UsageError)
