"""Sources of which next to nothing comes, and never the end."""

from __future__ import annotations

import pytest

from bake.assets import fetch
from bake.assets.transfer import open_session
from bake.errors import EnvironmentUnfit
from tests.certificates import self_signed, server_context


def test_a_source_that_only_keeps_the_connection_alive_is_left(sources, asked_for, store, heard, session, monkeypatch):
    monkeypatch.setattr("bake.assets.transfer._SPELL", 0.0)
    monkeypatch.setattr("bake.assets.transfer._SLOWEST", 1 << 60)
    with pytest.raises(EnvironmentUnfit, match=r"only [\d.]+ .?B came in 0 s"):
        fetch(asked_for(sources()), store, heard, session=session, pause=0.01)


@pytest.fixture
def server_tls(tmp_path):
    certificate, key = self_signed(tmp_path)
    return server_context(certificate, key), certificate


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.usefixtures("session")  # for its environment
def test_the_head_of_an_answer_may_not_trickle_in_for_ever(
    sources, asked_for, store, heard, monkeypatch, server_tls, tls
):
    monkeypatch.setattr("bake.assets.transfer._ANSWER", 0.3)
    context, certificate = server_tls
    request = asked_for(sources(trickles=0.05, tls=context if tls else None))
    with open_session(certificate) as session, pytest.raises(EnvironmentUnfit, match="its answer trickles in"):
        fetch(request, store, heard, session=session, pause=0.01)


@pytest.mark.usefixtures("session")
def test_a_head_in_time_leaves_the_body_its_own(sources, asked_for, store, heard, monkeypatch, server_tls):
    monkeypatch.setattr("bake.assets.transfer._ANSWER", 0.3)
    context, certificate = server_tls
    with open_session(certificate) as session:
        fetched = fetch(asked_for(sources(slow=0.02, tls=context)), store, heard, session=session, pause=0.01)
    assert fetched.known
