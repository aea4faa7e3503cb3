from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.bake.local.conftest import Machine

BUILDX = 'if [ "$1" = buildx ]; then echo "github.com/docker/buildx {} abc"; exit; fi'
ANSWERS = 'if [ "$1" = info ]; then echo 28.5.2; exit; fi'
SILENT = 'if [ "$1" = info ]; then exit 1; fi'


def docker(machine: Machine, *, info: str, buildx: str | None) -> None:
    machine.stub("docker", "\n".join([info, BUILDX.format(buildx) if buildx else "exit 1"]))


@pytest.mark.parametrize("buildx", ["0.29.1+ds1", "v0.17.0", "v0.100.2", "v1.0.0"])
def test_engine_that_answers_is_used_and_nothing_changes(machine: Machine, buildx: str) -> None:
    docker(machine, info=ANSWERS, buildx=buildx)
    result = machine.run("engine-up.sh")
    assert result.returncode == 0, result.stderr
    assert "28.5.2" in result.stderr
    assert "used as it is" in result.stderr
    assert result.stdout == ""
    assert not machine.state.exists()


@pytest.mark.parametrize("buildx", ["v0.16.2", "v0.9.1", "0.13.1+ds1"])
def test_buildx_too_old_says_which_is_needed(machine: Machine, buildx: str) -> None:
    docker(machine, info=ANSWERS, buildx=buildx)
    result = machine.run("engine-up.sh")
    assert result.returncode == 3
    assert "too old: 0.17 or newer is needed" in result.stderr


def test_engine_without_buildx(machine: Machine) -> None:
    docker(machine, info=ANSWERS, buildx=None)
    result = machine.run("engine-up.sh")
    assert result.returncode == 3
    assert "has no buildx" in result.stderr
    assert "0.17" in result.stderr


def test_fedora_is_told_what_to_install(machine: Machine) -> None:
    machine.os_release(machine.FEDORA)
    result = machine.run("engine-up.sh")
    assert result.returncode == 3
    assert "Fedora Linux 43" in result.stderr
    assert "https://docs.docker.com/engine/install/" in result.stderr
    assert machine.calls("apt-get") == []


def test_system_without_os_release(machine: Machine) -> None:
    (machine.root / "os-release").unlink()
    result = machine.run("engine-up.sh")
    assert result.returncode == 3
    assert "On this system it is not installed automatically" in result.stderr


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_user_without_root_is_told(machine: Machine, sudo: str | None) -> None:
    machine.stub("apt-get", "")
    machine.stub("id", machine.AS_USER)
    if sudo:
        machine.stub("sudo", sudo)
    result = machine.run("engine-up.sh")
    assert result.returncode == 3
    assert "ada may not install or start one" in result.stderr
    assert machine.calls("apt-get") == []


def test_no_apt(machine: Machine) -> None:
    result = machine.run("engine-up.sh")
    assert result.returncode == 3
    assert "has no apt-get" in result.stderr


def test_docker_host_that_does_not_answer(machine: Machine) -> None:
    docker(machine, info=SILENT, buildx="v0.29.1")
    result = machine.run("engine-up.sh", DOCKER_HOST="tcp://192.0.2.1:2375")
    assert result.returncode == 3
    assert "DOCKER_HOST is tcp://192.0.2.1:2375" in result.stderr


def test_wrong_option_is_wrong_usage(machine: Machine) -> None:
    result = machine.run("engine-up.sh", "--stat")
    assert result.returncode == 2
    assert "usage:" in result.stderr


def machine_with_dockerd(machine: Machine, dockerd: str) -> None:
    """An engine that is installed and not running; `docker info` answers once the daemon has written `up`."""
    up = machine.root / "up"
    docker(machine, info=f'if [ "$1" = info ]; then [ -e "{up}" ] && echo 28.5.2; exit; fi', buildx="v0.29.1")
    machine.stub("apt-get", "exit 1")
    machine.stub("dockerd", dockerd.format(up=up))


DAEMON = """
while [ $# -gt 0 ]; do if [ "$1" = --pidfile ]; then echo $$ >"$2"; fi; shift; done
trap 'rm -f "{up}"; exit 0' TERM
touch "{up}"
while :; do sleep 0.1; done
"""


def test_starts_what_is_installed_and_stops_only_that(machine: Machine) -> None:
    machine_with_dockerd(machine, DAEMON)
    started = machine.run("engine-up.sh")
    try:
        assert started.returncode == 0, started.stderr
        assert "started, pid" in started.stderr
        (call,) = machine.calls("dockerd")
        assert f"--pidfile {machine.state}/dockerd.pid" in call
        assert "--config-file" in call
        began = time.monotonic()
        again = machine.run("engine-up.sh")
        assert time.monotonic() - began < 1
        assert "used as it is" in again.stderr
        assert len(machine.calls("dockerd")) == 1
    finally:
        stopped = machine.run("engine-down.sh")
    assert stopped.returncode == 0
    assert "Docker Engine (pid" in stopped.stderr
    assert "stopped" in stopped.stderr
    assert not (machine.state / "dockerd.pid").exists()
    assert not (machine.root / "up").exists()


def test_user_with_sudo_may_use_the_engine_that_is_started(machine: Machine) -> None:
    machine_with_dockerd(machine, DAEMON)
    machine.stub("id", machine.AS_USER)
    machine.stub("sudo", 'shift; exec "$@"')
    started = machine.run("engine-up.sh")
    machine.run("engine-down.sh")
    assert started.returncode == 0, started.stderr
    assert "--group 1000" in machine.calls("dockerd")[0]


def test_engine_that_dies_shows_its_last_words_at_once(machine: Machine) -> None:
    machine_with_dockerd(machine, 'echo "failed to mount overlay: operation not permitted"; exit 1')
    began = time.monotonic()
    result = machine.run("engine-up.sh")
    assert result.returncode == 3
    assert "failed to mount overlay: operation not permitted" in result.stderr
    assert "Docker Engine did not start" in result.stderr
    assert time.monotonic() - began < 10
