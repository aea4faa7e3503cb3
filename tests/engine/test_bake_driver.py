"""The driver on real BuildKit, with images of one static binary (Debian's busybox): no network, no torch.

Proves the thing: what drives BuildKit, on BuildKit itself.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest

from bake.buildx import results
from bake.buildx.driver import BakeRequest, run_bake
from bake.doctor import Severity, Subject, run_checks
from bake.engine.facts import connect, image_facts, require_buildx, require_engine
from bake.errors import BuildFailed, EnvironmentUnfit, Interrupted
from bake.progress.events import State
from bake.reference import parse_reference
from bake.registry import Pushed, Registry

pytestmark = pytest.mark.engine

HCL = """
variable "RUN_ID" {
  default = ""
}
variable "BASE" {
  default = "base"
}
variable "TAG" {
  default = "uplift-test/image:latest"
}
target "_common" {
  dockerfile = "Dockerfile"
  args = { RUN_ID = RUN_ID }
  output = ["type=cacheonly"]
}
target "base" {
  context = "base"
  output = ["type=cacheonly"]
}
"""
BASE = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nENV PATH=/bin\n"
PROGRAM = """
import sys
from pathlib import Path
from bake.progress.display import ProgressMode, display
from bake.buildx.driver import BakeRequest, run_bake
from bake.errors import UpliftError
with display(ProgressMode.PLAIN) as listener:
    outcome = run_bake(
        BakeRequest(file=Path(sys.argv[1]), targets=(sys.argv[2],), variables={"RUN_ID": sys.argv[3]}), listener
    )
if outcome.failure is not None:
    print("error:", outcome.failure, file=sys.stderr)
    sys.exit(outcome.failure.exit_status)
"""


@pytest.fixture(scope="session")
def busybox(tmp_path_factory):
    """Debian's static busybox: the machine's own, or from its package archive."""
    found = shutil.which("busybox")
    if found and subprocess.run(["ldd", found], capture_output=True, check=False).returncode != 0:  # static
        return Path(found)
    folder = tmp_path_factory.mktemp("busybox")
    fetched = subprocess.run(
        ["apt-get", "download", "busybox-static"], cwd=folder, capture_output=True, text=True, check=False
    )
    if fetched.returncode != 0:
        pytest.fail(f"these tests need busybox-static, and apt-get could not download it:\n{fetched.stderr}")
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    return next(
        path for path in (folder / "root" / "bin" / "busybox", folder / "root/usr/bin/busybox") if path.is_file()
    )


class Project:
    """A folder with a bake file; ``project(name=dockerfile, …)`` adds targets linked to the base."""

    def __init__(self, folder, busybox):
        self.folder = folder
        self.run_id = uuid.uuid4().hex
        (folder / "base").mkdir()
        shutil.copy(busybox, folder / "base" / "busybox")
        (folder / "base" / "Dockerfile").write_text(BASE)

    def __call__(self, **targets):
        text = HCL
        for name, dockerfile in targets.items():
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name / "Dockerfile").write_text(dockerfile)
            others = [other for other in ("base", *targets) if re.search(rf"\b{other}\b", dockerfile)]
            links = ", ".join(f'{other} = "target:{other}"' for other in others if other != name)
            text += (
                f'target "{name}" {{\n  inherits = ["_common"]\n  context = "{name}"\n  contexts = {{ {links} }}\n}}\n'
            )
        path = self.folder / "docker-bake.hcl"
        path.write_text(text)
        return path


@pytest.fixture
def project(tmp_path, busybox):
    return Project(tmp_path, busybox)


def _bake(path, *targets, run_id, **values):
    request = BakeRequest(file=path, targets=targets, variables={"RUN_ID": run_id}, **values)
    return run_bake(request, lambda _: None)


def _fresh(body):
    """A stage whose steps are cached for this test alone."""
    return f"FROM base\nARG RUN_ID\nRUN echo $RUN_ID\n{body}"


def test_success_is_recorded_and_the_second_bake_is_all_cached(project, tmp_path):
    path = project(
        left=_fresh("RUN busybox sleep 1 && echo left-done\n"),
        right=_fresh("RUN busybox sleep 1 && echo right-done > /r\n"),
        image="FROM left\nCOPY --from=right /r /r\n",
    )
    outcome = _bake(path, "image", run_id=project.run_id, overrides={"image.output": "type=image"},
                    metadata_file=tmp_path / "metadata.json")  # fmt: skip
    outcome.raise_for_failure()
    results.record(outcome, recipe="test", folder=tmp_path / "build")
    read = results.load(tmp_path / "build")
    assert set(read.targets) == {"base", "left", "right", "image"}
    assert read.overlap("left", "right") > 0.5
    assert (read.digest_of("image") or "").startswith("sha256:")
    assert project.run_id not in (tmp_path / "metadata.json").read_text()

    again = _bake(path, "image", run_id=project.run_id)
    again.raise_for_failure()
    instructions = [step for step in again.steps if step.kind.value == "instruction"]
    assert {step.state for step in instructions} == {State.CACHED}


def test_a_failure_names_target_line_and_output_but_not_the_cancelled_sibling(project):
    path = project(
        bad=_fresh('RUN busybox sleep 1 && \\\n    echo "knn.cu(12): error" && \\\n    exit 7\n'),
        slow=_fresh("RUN busybox sleep 60\n"),
        image="FROM bad\nCOPY --from=slow /bin/sh /sh2\n",
    )
    outcome = _bake(path, "image", run_id=project.run_id)
    assert outcome.seconds < 30
    assert isinstance(outcome.failure, BuildFailed)
    text = str(outcome.failure)
    assert text.startswith(f"{path.parent}/bad/Dockerfile:4, target bad: the step failed (exit code 7)")
    assert "| knn.cu(12): error" in text
    assert "slow" not in text
    states = {step.target: step.state for step in outcome.steps if step.label.startswith("RUN busybox sleep 60")}
    assert states["slow"] is State.CANCELLED


def _in_a_process(path, target, run_id, until):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), target, run_id], stderr=subprocess.PIPE, text=True
    )
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if until in line:
            return process
    process.communicate()
    pytest.fail(f"it ended before {until!r}:\n{said}")


def _clients(path):
    """Pids of docker clients that bake this file."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(path).encode() in command and b"buildx" in command:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_python_alone_ends_the_build(project, number):
    path = project(slow=_fresh("RUN busybox sleep 60\n"))
    process = _in_a_process(path, "slow", project.run_id, "RUN busybox sleep 60: started")
    assert _clients(path)
    begun = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert process.returncode == Interrupted.exit_status
    assert f"cancelled by {number.name}" in said
    assert _clients(path) == []


def test_after_kill_9_finished_steps_are_cached(project):
    path = project(slow=_fresh(f"RUN echo one {project.run_id}\nRUN busybox sleep 120\n"))
    process = _in_a_process(path, "slow", project.run_id, "RUN busybox sleep 120: started")
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 60  # half of what a client that builds on would take
    while _clients(path):
        assert time.monotonic() < deadline, "the client builds on without its parent"
        time.sleep(0.05)
    dockerfile = path.parent / "slow" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("sleep 120", "sleep 0"))
    outcome = _bake(path, "slow", run_id=project.run_id)
    outcome.raise_for_failure()
    states = {step.label: step.state for step in outcome.steps if step.target == "slow"}
    assert states[f"RUN echo one {project.run_id}"] is State.CACHED


def test_a_missing_base(project, registry):
    path = project(e=f"FROM {registry}/no/such:1\nRUN true\n")
    failure = _bake(path, "e", run_id=project.run_id).failure
    assert isinstance(failure, EnvironmentUnfit)
    assert f"the image {registry}/no/such:1 does not exist" in str(failure)
    (finding,) = run_checks(Subject(base=f"{registry}/no/such:1", base_remedy="make base"), only=frozenset({"base"}))
    assert (finding.severity, finding.remediation) == (Severity.ERROR, "make base")


def test_a_registry_that_is_down(project):
    path = project(e="FROM base\nRUN true\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        outcome = _bake(path, "e", run_id=project.run_id,
                        overrides={"e.tags": f"{address}/x:1", "e.output": "type=registry"})  # fmt: skip
    assert isinstance(outcome.failure, EnvironmentUnfit)
    assert f"the registry at {address} refuses the connection" in str(outcome.failure)


def test_a_push_is_complete_in_the_registry(project, registry, tmp_path):
    path = project(e="FROM base\nRUN echo x >/x\n")
    tag = f"{registry}/team/e:1"
    outcome = _bake(path, "e", run_id=project.run_id, overrides={"e.tags": tag, "e.output": "type=registry"},
                    metadata_file=tmp_path / "metadata.json")  # fmt: skip
    outcome.raise_for_failure()
    pushed = Registry(registry).pushed(parse_reference(tag))
    assert isinstance(pushed, Pushed)
    assert pushed.complete
    assert pushed.digest == outcome.metadata["e"]["containerimage.digest"]
    assert len(pushed.blobs) >= 3


def test_no_engine(project):
    path = project(e="FROM base\nRUN true\n")
    outcome = _bake(path, "e", run_id=project.run_id, environment={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert isinstance(outcome.failure, EnvironmentUnfit)
    assert "no Docker Engine answers at unix:///nonexistent/docker.sock" in str(outcome.failure)


def test_an_engine_that_goes_away(project, tmp_path):
    path = project(slow=_fresh("RUN busybox sleep 60\n"))
    with _proxied(tmp_path / "engine.sock") as (address, cut):

        def listener(event):
            if event.kind == "step-started" and event.step.label == "RUN busybox sleep 60":
                cut()

        request = BakeRequest(
            file=path, targets=("slow",), variables={"RUN_ID": project.run_id}, environment={"DOCKER_HOST": address}
        )
        outcome = run_bake(request, listener)
    assert isinstance(outcome.failure, EnvironmentUnfit)
    assert "the connection to the Docker Engine broke" in str(outcome.failure)


def test_too_old_a_buildx(tmp_path, monkeypatch):
    plugins = tmp_path / "cli-plugins"
    plugins.mkdir()
    stub = plugins / "docker-buildx"
    stub.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = docker-cli-plugin-metadata ]; then\n'
        """  echo '{"SchemaVersion":"0.1.0","Vendor":"x","Version":"v0.12.1","ShortDescription":"x"}'\n"""
        "else\n  echo 'github.com/docker/buildx v0.12.1 30feaa1'\nfi\n"
    )
    stub.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(EnvironmentUnfit, match=r"buildx 0\.20 or later is needed, found v0\.12\.1"):
        require_buildx()


def test_facts_of_the_engine(project):
    client = connect()
    try:
        facts = require_engine(client)
        assert facts.cpus > 0
        assert image_facts(client, f"nosuch:{project.run_id}") is None
        path = project(e="FROM base\nRUN true\n")
        tag = f"uplift-test/facts:{project.run_id[:12]}"
        overrides = {"e.tags": tag, "e.output": "type=docker"}
        _bake(path, "e", run_id=project.run_id, overrides=overrides).raise_for_failure()
        try:
            image = image_facts(client, tag)
            assert image is not None
            assert len(image.layers) >= 2
            assert image.size > 1_000_000
        finally:
            client.images.remove(tag)
    finally:
        client.close()


RELAY = """
import socket, sys, threading
from pathlib import Path
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(50)
print("ready", flush=True)
def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
while True:
    near, _ = server.accept()
    far = socket.socket(socket.AF_UNIX)
    far.connect("/var/run/docker.sock")
    for pair in ((near, far), (far, near)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


@contextmanager
def _proxied(path):
    """The engine through a relay; gives its address, and the function that cuts every connection."""
    assert Path("/var/run/docker.sock").is_socket(), "this test cuts the engine's own socket, which is elsewhere"
    relay = subprocess.Popen([sys.executable, "-c", RELAY, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert relay.stdout is not None
        assert relay.stdout.readline() == "ready\n"
        yield f"unix://{path}", relay.kill
    finally:
        relay.kill()
        relay.communicate()
