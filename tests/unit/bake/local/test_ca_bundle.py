from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.bake.local.conftest import Machine


@pytest.mark.parametrize(
    "variable", ["GENERATOR_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE"]
)
def test_each_variable_that_tools_read_names_it(machine: Machine, variable: str) -> None:
    bundle = machine.root / "site ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    assert machine.run("ca-bundle.sh", **{variable: str(bundle)}).stdout == f"{bundle}\n"


def test_own_variable_goes_first(machine: Machine) -> None:
    ours, other = machine.root / "ours.pem", machine.root / "other.pem"
    ours.touch()
    other.touch()
    result = machine.run("ca-bundle.sh", GENERATOR_CA_BUNDLE=str(ours), SSL_CERT_FILE=str(other))
    assert result.stdout == f"{ours}\n"


def test_other_tools_variable_that_names_no_file_does_not_count(machine: Machine) -> None:
    present = machine.root / "present.pem"
    present.touch()
    result = machine.run("ca-bundle.sh", SSL_CERT_FILE=str(machine.root / "absent"), PIP_CERT=str(present))
    assert result.stdout == f"{present}\n"


def test_own_variable_that_names_no_file_is_a_failure(machine: Machine) -> None:
    result = machine.run("ca-bundle.sh", GENERATOR_CA_BUNDLE="/absent/ca.pem")
    assert result.returncode == 3
    assert "/absent/ca.pem" in result.stderr


def test_none(machine: Machine) -> None:
    result = machine.run("ca-bundle.sh")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_command_runs_with_it_and_keeps_its_exit_status(machine: Machine) -> None:
    bundle = machine.root / "ca.pem"
    bundle.touch()
    result = machine.run("ca-bundle.sh", "sh", "-c", 'echo "$GENERATOR_CA_BUNDLE"; exit 7', SSL_CERT_FILE=str(bundle))
    assert (result.returncode, result.stdout) == (7, f"{bundle}\n")


def test_command_runs_without_the_variable_where_there_is_none(machine: Machine) -> None:
    result = machine.run("ca-bundle.sh", "sh", "-c", "echo ${GENERATOR_CA_BUNDLE-unset}", GENERATOR_CA_BUNDLE="")
    assert result.stdout == "unset\n"
