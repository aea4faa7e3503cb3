from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from bake.credentials import Keyring, Login, docker_login_env
from bake.errors import EnvironmentUnfit

pytestmark = pytest.mark.usefixtures("own")
GIVEN = Keyring({"r.example:5000": Login(username="ci", secret="canary", given=True)})


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's docker folder."""
    folder = tmp_path / "docker"
    (folder / "contexts/meta").mkdir(parents=True)
    (folder / "cli-plugins").mkdir()
    (folder / "config.json").write_text(
        json.dumps(
            {
                "auths": {"s.example": {"auth": "bWU6c3RvcmVk"}},  # me:stored
                "credHelpers": {"h.example": "gone"},
                "currentContext": "lab",
                "proxies": {"default": {"httpProxy": "http://proxy.example:3128"}},
            }
        )
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.delenv("BUILDX_CONFIG", raising=False)
    return folder


def helper(environment, action, text=""):
    """Do as docker does."""
    config = json.loads((Path(environment["DOCKER_CONFIG"]) / "config.json").read_text())
    return subprocess.run(
        [f"docker-credential-{config['credsStore']}", action],
        input=text,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_given_logins_docker_is_left_alone():
    with docker_login_env(Keyring()) as environment:
        assert environment == {}


def test_docker_gets_the_login_from_a_helper():
    with docker_login_env(GIVEN) as environment:
        done = helper(environment, "get", "r.example:5000")
        assert done.returncode == 0
        assert json.loads(done.stdout) == {"ServerURL": "r.example:5000", "Username": "ci", "Secret": "canary"}
        assert json.loads(helper(environment, "list").stdout) == {"r.example:5000": "ci"}


def test_logins_that_docker_keeps_itself_still_work():
    with docker_login_env(GIVEN) as environment:
        assert json.loads(helper(environment, "get", "s.example").stdout)["Secret"] == "stored"


def test_an_unknown_registry_has_the_answer_that_docker_knows():
    with docker_login_env(GIVEN) as environment:
        done = helper(environment, "get", "https://other.example")
    assert (done.returncode, done.stdout) == (1, "credentials not found in native keychain")


@pytest.mark.parametrize("action", ["store", "erase"])
def test_nothing_can_be_kept_there(action):
    with docker_login_env(GIVEN) as environment:
        assert helper(environment, action, "{}").returncode == 1


def test_other_settings_stay_and_secrets_are_left_behind(own):
    with docker_login_env(GIVEN) as environment:
        folder = Path(environment["DOCKER_CONFIG"])
        assert json.loads((folder / "config.json").read_text()) == {
            "currentContext": "lab",
            "proxies": {"default": {"httpProxy": "http://proxy.example:3128"}},
            "credsStore": "image-uplift",
        }
        assert (folder / "contexts").resolve() == own / "contexts"
        assert (folder / "cli-plugins").resolve() == own / "cli-plugins"
        assert environment["BUILDX_CONFIG"] == str(own / "buildx")
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        held = [path.read_bytes() for path in folder.parent.rglob("*") if path.is_file() and not path.is_symlink()]
        assert held
        assert not any(b"canary" in text or b"stored" in text or b"bWU6" in text for text in held)
        assert not any("canary" in value for value in environment.values())
    assert not folder.parent.exists()


def test_builders_that_are_kept_elsewhere_stay_there(monkeypatch):
    monkeypatch.setenv("BUILDX_CONFIG", "/srv/buildx")
    with docker_login_env(GIVEN) as environment:
        assert environment["BUILDX_CONFIG"] == "/srv/buildx"


def test_it_works_in_a_deep_temporary_folder(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr("tempfile.tempdir", None)
    with docker_login_env(GIVEN) as environment:
        assert helper(environment, "get", "r.example:5000").returncode == 0


def test_a_configuration_that_is_no_json_is_told(own):
    (own / "config.json").write_text("{")
    with pytest.raises(EnvironmentUnfit, match="cannot be read") as caught, docker_login_env(GIVEN):
        pass
    assert caught.value.where == str(own / "config.json")


def test_after_the_end_nobody_answers():
    with docker_login_env(GIVEN) as environment:
        folder = Path(environment["DOCKER_CONFIG"]).parent
        kept = (folder / "bin/docker-credential-image-uplift").read_text()
    done = subprocess.run(
        ["sh", "-c", kept, "helper", "get"], input="r.example:5000", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cannot be asked" in done.stdout
