from __future__ import annotations

import io

import pytest

from bake.credentials import Login
from bake.errors import UsageError
from generator.resolve.login import Given, chosen_login, keyring_for


def chosen(username=None, *, stdin=None, token=""):
    return chosen_login(username, password_stdin=stdin is not None, token=token, stdin=io.StringIO(stdin or ""))


def test_nothing_given_leaves_it_to_docker():
    assert chosen() is None
    assert keyring_for("r.example", None).given == {}


def test_a_password_from_a_pipe():
    given = chosen("ci", stdin="pass word\r\n")
    assert given is not None
    assert given.login == Login(username="ci", secret="pass word", given=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stdin": "x"}, "wants a user name"),
        ({"username": "ci"}, "wants a password"),
        ({"username": "ci", "stdin": "x", "token": "t"}, "two secrets"),
        ({"username": "ci", "stdin": "\n"}, "is empty"),
    ],
)
def test_wrong_combinations(arguments, message):
    with pytest.raises(UsageError, match=message):
        chosen(**arguments)


def test_a_password_is_not_typed():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with pytest.raises(UsageError, match="from a pipe"):
        chosen_login("ci", password_stdin=True, token="", stdin=Terminal("x"))


@pytest.mark.parametrize(
    ("registry", "user"),
    [
        ("ghcr.io/lab", "token"),
        ("europe-docker.pkg.dev/lab/x", "oauth2accesstoken"),
        ("lab.azurecr.io", "00000000-0000-0000-0000-000000000000"),
        ("quay.io/lab", "$oauthtoken"),
    ],
)
def test_a_token_alone_has_the_user_that_its_registry_wants(registry, user):
    keyring = keyring_for(registry, chosen(token="t"))
    assert keyring.given == {registry.partition("/")[0]: Login(username=user, secret="t", given=True)}


def test_a_token_may_have_a_user():
    assert keyring_for("ghcr.io/lab", chosen("me", token="t")).given["ghcr.io"].username == "me"


def test_a_login_wants_a_registry_where_it_was_asked_for():
    with pytest.raises(UsageError, match="no registry"):
        keyring_for("", chosen("ci", stdin="x"))
    assert keyring_for("", chosen(token="t")).given == {}  # a job's environment has it for other steps too


def test_nothing_shows_the_secret():
    assert "canary" not in repr(Given(login=Login(username="u", secret="canary"), by="x"))
