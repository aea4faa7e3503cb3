"""What is said of an engine that does not answer."""

from __future__ import annotations

import pytest

from bake.engine.facts import connect
from bake.errors import EnvironmentUnfit


@pytest.mark.parametrize("host", ["tcp://me:canary@127.0.0.1:1", "tcp://me:can@ary@127.0.0.1:1"])
def test_an_address_of_an_engine_is_told_without_its_login(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EnvironmentUnfit, match="no Docker Engine answers at tcp://127") as failure:
        connect()
    assert "ary" not in str(failure.value)


def test_the_address_of_a_socket_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(EnvironmentUnfit, match=r"answers at unix:///nowhere\.sock"):
        connect()
