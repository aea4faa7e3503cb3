from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.bake.local.conftest import Machine

SCRIPTS = Path(__file__).parents[4] / "bake/local"


@contextmanager
def listening(headers: dict[str, str]) -> Iterator[int]:
    """Something that answers on a loopback port; yields the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_registry_that_answers_is_used_as_it_is(machine: Machine) -> None:
    with listening({"Docker-Distribution-Api-Version": "registry/2.0"}) as port:
        result = machine.run("registry-up.sh", "--port", str(port))
    assert result.returncode == 0, result.stderr
    assert f"127.0.0.1:{port} answers: not started from here" in result.stderr


def test_port_taken_by_something_else(machine: Machine) -> None:
    with listening({}) as port:
        result = machine.run("registry-up.sh", "--port", str(port))
    assert result.returncode == 3
    assert f"Port {port} of 127.0.0.1 is taken by something that is no registry" in result.stderr
    assert "REGISTRY_PORT=" in result.stderr


@pytest.mark.parametrize("port", ["http", "50 00", "-1"])
def test_port_that_is_none(machine: Machine, port: str) -> None:
    result = machine.run("registry-up.sh", REGISTRY_PORT=port)
    assert result.returncode == 2
    assert "usage:" in result.stderr


def test_registry_that_dies_shows_its_log(machine: Machine) -> None:
    machine.stub("docker-registry", 'echo "cannot write the storage folder"; exit 1')
    result = machine.run("registry-up.sh", "--port", str(free_port()))
    assert result.returncode == 3
    assert "cannot write the storage folder" in result.stderr


def test_registry_not_installed_on_a_system_without_apt(machine: Machine) -> None:
    machine.os_release("ID=alpine\nPRETTY_NAME='Alpine Linux'\n")
    result = machine.run("registry-up.sh", "--port", str(free_port()))
    assert result.returncode == 3
    assert "Alpine Linux" in result.stderr
    assert "registry:2" in result.stderr


@pytest.mark.skipif(not shutil.which("docker-registry"), reason="docker-registry is not installed")
def test_registry_starts_once_and_stops(machine: Machine) -> None:
    (machine.bin / "docker-registry").symlink_to(str(shutil.which("docker-registry")))
    port = str(free_port())
    try:
        first = machine.run("registry-up.sh", "--port", port)
        again = machine.run("registry-up.sh", "--port", port)
        other = machine.run("registry-up.sh", "--port", str(free_port()))
    finally:
        down = machine.run("engine-down.sh")
    assert first.returncode == 0, first.stderr
    assert "started, pid" in first.stderr
    assert "started earlier" in again.stderr
    assert other.returncode == 3
    assert "make down" in other.stderr
    assert "registry (pid" in down.stderr
    assert not (machine.state / "registry.pid").exists()


@pytest.mark.parametrize("content", ["", "0", "nonsense", "99999999", "-1", "1 2"])
def test_pid_file_that_names_no_process_of_ours(machine: Machine, content: str) -> None:
    machine.state.mkdir()
    (machine.state / "dockerd.pid").write_text(content)
    result = machine.run("engine-down.sh")
    assert result.returncode == 0, result.stderr
    assert "Docker Engine: nothing that was started from here runs" in result.stderr
    assert not (machine.state / "dockerd.pid").exists()


def test_a_pid_that_now_belongs_to_another_program_is_left_alone(machine: Machine) -> None:
    machine.state.mkdir()
    with subprocess.Popen([str(shutil.which("sleep")), "30"]) as bystander:
        try:
            (machine.state / "dockerd.pid").write_text(f"{bystander.pid}\n")
            assert machine.run("engine-down.sh").returncode == 0
            assert bystander.poll() is None
            os.kill(bystander.pid, 0)
        finally:
            bystander.terminate()


def test_down_twice_is_no_failure(machine: Machine) -> None:
    assert machine.run("engine-down.sh").returncode == 0
    assert machine.run("engine-down.sh", "--state", str(machine.root / "absent")).returncode == 0


def test_a_zombie_has_ended(machine: Machine) -> None:
    """In a container whose first process reaps nobody, an ended registry stays in the process table."""
    child = subprocess.Popen(["sleep", "60"])
    child.kill()
    while "Z" not in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]:
        time.sleep(0.01)
    script = f'. "{SCRIPTS}/process.sh"; echo {child.pid} > pid; running pid sleep && echo alive || echo ended'
    result = subprocess.run(["sh", "-c", script], cwd=machine.work, capture_output=True, text=True, check=True)
    child.wait()
    assert result.stdout == "ended\n"
