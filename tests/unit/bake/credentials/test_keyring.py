from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bake.credentials import Keyring, Login
from bake.credentials.keyring import host_of
from bake.errors import EnvironmentUnfit

pytestmark = pytest.mark.usefixtures("config")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write docker's configuration; helpers are programs on PATH."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(settings, **helpers: str):
        (tmp_path / "config.json").write_text(json.dumps(settings))
        for name, script in helpers.items():
            program = Path(tmp_path / f"docker-credential-{name}")
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)

    write({})
    return write


def auth(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_a_given_login_comes_before_dockers_own(config):
    config({"auths": {"r.example": auth("stored", "s")}})
    given = Login(username="given", secret="g", given=True)
    keyring = Keyring({"r.example": given})
    assert keyring.login_for("r.example") is given
    assert Keyring().login_for("r.example") == Login(username="stored", secret="s")


def test_no_login_is_none():
    assert Keyring().login_for("r.example") is None


@pytest.mark.parametrize("host", ["docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"])
def test_docker_hub_has_one_name(config, host):
    config({"auths": {"https://index.docker.io/v1/": auth("me", "p")}})
    assert Keyring().login_for(host) == Login(username="me", secret="p")
    assert host_of(host) == "docker.io"


def test_an_old_key_with_a_scheme_is_found(config):
    config({"auths": {"https://r.example:5000/v2/": auth("me", "p")}})
    assert Keyring().login_for("r.example:5000") == Login(username="me", secret="p")


def test_a_helper_of_the_registry_is_asked_before_the_store(config):
    answer = 'cat > /dev/null; echo \'{{"Username": "{}", "Secret": "s"}}\''
    config(
        {"credsStore": "all", "credHelpers": {"r.example": "one"}}, all=answer.format("all"), one=answer.format("one")
    )
    assert Keyring().login_for("r.example") == Login(username="one", secret="s")
    assert Keyring().login_for("other.example") == Login(username="all", secret="s")


def test_an_identity_token_is_known_by_its_user(config):
    config({"credsStore": "all"}, all='cat > /dev/null; echo \'{"Username": "<token>", "Secret": "t"}\'')
    login = Keyring().login_for("r.example")
    assert login is not None
    assert login.is_identity_token
    assert login.secret == "t"


def test_a_helper_that_is_not_there_is_told(config):
    config({"credsStore": "gone"})
    with pytest.raises(EnvironmentUnfit, match="stored login cannot be read") as caught:
        Keyring().login_for("r.example")
    assert "credsStore" in str(caught.value.remedy)


def test_nothing_shows_a_secret():
    login = Login(username="u", secret="canary", given=True)
    assert "canary" not in f"{login!r} {login} {login.shown} {Keyring({'r.example': login})!r}"
