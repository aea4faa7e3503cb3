from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.unit.bake.local.conftest import Machine

SOURCES = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"


class AptStub(Protocol):
    def __call__(self, *, candidate: str = ..., apt_get: str = ..., installed: str = ...) -> None: ...


class Install(Protocol):
    def __call__(self, *wanted: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def apt(machine: Machine) -> AptStub:
    """apt-get that succeeds; the release's own docker.io is 20.10 as in bookworm; nothing is installed."""

    def set_up(*, candidate: str = "20.10.24", apt_get: str = "", installed: str = "") -> None:
        machine.stub("apt-get", apt_get)
        machine.stub("apt-cache", f"echo docker.io:; echo '  Candidate: {candidate}+dfsg1-1'")
        machine.stub("dpkg-query", f'case "$*" in *" {installed}") [ -z "{installed}" ] || echo installed ;; esac')

    set_up()
    return set_up


@pytest.fixture
def install(machine: Machine, apt: AptStub) -> Install:  # noqa: ARG001 - the stubs have to be there
    """The script, with a mirror in reach: apt-mirror.sh reads the sources named by APT_SOURCES."""
    sources = machine.root / "debian.sources"
    sources.write_text(SOURCES)

    def run(*wanted: str) -> subprocess.CompletedProcess[str]:
        return machine.run("engine-install.sh", str(machine.state), *wanted, APT_SOURCES=str(sources))

    return run


def installs(machine: Machine) -> list[str]:
    return [call for call in machine.calls("apt-get") if " install " in call]


def test_bookworm_takes_single_packages_of_the_newer_suite_and_runc_of_its_own(
    machine: Machine, install: Install
) -> None:
    result = install("engine")
    assert result.returncode == 0, result.stderr
    (call,) = installs(machine)
    words = call.split()
    assert {"docker.io/forky", "docker-cli/forky", "docker-buildx/forky", "containerd/forky"} <= set(words)
    assert "runc" in words
    assert "systemd-standalone-sysusers" in words
    assert "-t" not in words
    assert "http://mirror.example/debian" in result.stderr


def test_no_second_sysusers_where_systemd_is(machine: Machine, apt: AptStub, install: Install) -> None:
    apt(installed="systemd")
    assert install("engine").returncode == 0
    assert "systemd-standalone-sysusers" not in installs(machine)[0]


def test_the_newer_suite_is_seen_by_this_call_only(machine: Machine, apt: AptStub, install: Install) -> None:
    apt(apt_get=f'[ -z "$APT_CONFIG" ] || cat "$APT_CONFIG" >>"{machine.root}/seen"')
    assert install("engine").returncode == 0
    assert f'Dir::State::Lists "{machine.state}/apt/lists"' in (machine.root / "seen").read_text()
    assert not (machine.state / "apt").exists()


def test_release_with_a_new_enough_engine_installs_its_own(machine: Machine, apt: AptStub, install: Install) -> None:
    machine.os_release(machine.UBUNTU)
    apt(candidate="29.1.3")
    result = install()
    assert result.returncode == 0, result.stderr
    engine, registry = installs(machine)
    assert engine.endswith("docker.io docker-buildx iptables iproute2")
    assert registry.endswith("docker-registry")


def test_ubuntu_with_too_old_an_engine_is_told(machine: Machine, install: Install) -> None:
    machine.os_release(machine.UBUNTU)
    result = install("engine")
    assert result.returncode == 3
    assert "docker.io of Ubuntu 26.04 LTS is older than 28" in result.stderr
    assert installs(machine) == []


def test_packages_of_docker_com_are_not_replaced(machine: Machine, apt: AptStub, install: Install) -> None:
    apt(installed="docker-ce")
    result = install("engine")
    assert result.returncode == 3
    assert "docker-buildx-plugin" in result.stderr
    assert installs(machine) == []


def test_registry_alone(machine: Machine, install: Install) -> None:
    assert install("registry").returncode == 0
    assert [call.split()[-1] for call in installs(machine)] == ["docker-registry"]


@pytest.mark.parametrize("before", [None, "#!/bin/sh\nexit 0  # mine\n"])
@pytest.mark.parametrize("status", [0, 100])
def test_services_are_forbidden_meanwhile_and_the_policy_is_put_back(
    machine: Machine, apt: AptStub, install: Install, before: str | None, status: int
) -> None:
    policy = machine.root / "policy-rc.d"
    if before:
        policy.write_text(before)
    apt(apt_get=f'"{policy}" || echo "policy $?" >>"{machine.root}/seen"; exit {status}')
    assert install().returncode == (3 if status else 0)
    assert set((machine.root / "seen").read_text().splitlines()) == {"policy 101"}
    assert (policy.read_text() if policy.exists() else None) == before


def test_failing_apt_is_shown_and_kept(apt: AptStub, install: Install) -> None:
    apt(apt_get='echo "E: Could not resolve mirror.example"; exit 100')
    result = install()
    assert result.returncode == 3
    assert "E: Could not resolve mirror.example" in result.stderr
    assert "install.log" in result.stderr


def test_debian_without_a_source_for_its_release(machine: Machine, install: Install) -> None:
    (machine.root / "debian.sources").write_text("")
    result = install("engine")
    assert result.returncode == 3
    assert "No package mirror for bookworm" in result.stderr
