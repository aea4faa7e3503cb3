from __future__ import annotations

import pytest

from bake.address import has_login, origin, quoted, shown


def test_scheme_host_and_port_tell_a_server() -> None:
    assert origin("https://lab/x") == origin("https://LAB:443/y")
    assert len({origin(url) for url in ("https://lab/", "http://lab/", "https://lab:8443/", "https://other/")}) == 4


@pytest.mark.parametrize(
    ("address", "login"),
    [
        ("https://me:word@host/x", True),
        ("https://token@host", True),
        ("https://me:w#rd@host/", False),  # a host "me", and a fragment
        ("me:word@reg.lab/hub/", True),
        ("https://host/@scope/x?mail=a@b/", False),
        ("reg.lab/x@sha256:0", False),
        ("debian@sha256:0", False),
        ("pypi", False),
    ],
)
def test_a_login_in_an_address_is_known(address: str, login: bool) -> None:
    assert has_login(address) is login


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("https://me:word@host:8443/a/b.run?token=word#word", "https://host:8443/a/b.run?…"),
        ("http://[broken/x?y", "http://[broken/x?…"),
        ("https://host/@scope/x", "https://host/@scope/x"),
        ("reg.lab/hub/", "reg.lab/hub/"),
    ],
)
def test_what_may_be_secret_is_not_shown(address: str, text: str) -> None:
    assert shown(address) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a b", "'a b'"),
        (f"x:1@sha256:{'a' * 64}", f"'x:1@sha256:{'a' * 64}'"),
        ("me:pw@h", "'…@h'"),
        ("https://me:p@w@h/x@sha256:ab", "'…@h/x@sha256:ab'"),
        (["x", "me:pw@h"], "'…@h']"),
        ("a\n@b", "'…@b'"),
        ("a" * 1_000_000, f"'{'a' * 1_000_000}'"),
    ],
)
def test_what_may_be_a_login_is_not_in_a_message(value: object, written: str) -> None:
    assert quoted(value) == written
