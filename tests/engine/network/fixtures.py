"""Fixtures of the laboratory: one of each for the whole run, since a switch and an engine take a second or two."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engine.network.authority import Authority
from tests.engine.network.engine import Engine
from tests.engine.network.proxy import FaultProxy
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch

ACCOUNTS = {"writer": "canary-9d1f-writer"}


@pytest.fixture(scope="session")
def switch() -> Iterator[Switch]:
    """A network between the host and namespaces."""
    with Switch() as made:
        yield made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private CA."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def private_registry(
    tmp_path_factory: pytest.TempPathFactory, switch: Switch, authority: Authority
) -> Iterator[PrivateRegistry]:
    """A registry with TLS and a password."""
    folder = tmp_path_factory.mktemp("private-registry")
    with PrivateRegistry(folder, switch, authority, accounts=ACCOUNTS) as made:
        yield made


@pytest.fixture(scope="session")
def second_engine(switch: Switch, authority: Authority, private_registry: PrivateRegistry) -> Iterator[Engine]:
    """A second Docker Engine, empty at the start of the run, whose machine trusts the private CA."""
    with Engine("second", switch, system=authority.bundle()) as made:
        made.trust(private_registry.host, authority.certificate)
        yield made


@pytest.fixture(scope="session")
def second_base(second_engine: Engine, base: str) -> str:
    """The small base on the second engine."""
    for image in filter(None, (base, os.environ.get("GENERATOR_FETCHER"))):
        second_engine.load(image)
    return base


@pytest.fixture
def proxy(switch: Switch, authority: Authority, private_registry: PrivateRegistry) -> Iterator[FaultProxy]:
    """A proxy before the private registry, that does no harm until it is told to."""
    with FaultProxy(switch, authority, private_registry.host) as made:
        yield made
