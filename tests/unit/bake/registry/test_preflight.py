"""What is said of a registry before a push, by asking it."""

from __future__ import annotations

import pytest

from bake.doctor import Severity, Subject, run_checks
from tests.unit.bake.registry.served import keyring, plain, serving, with_password


def refusing(status):
    def answer(server, method, path, headers, body):
        if method == "POST":
            return status, {}, b'{"errors": [{"code": "X", "message": "said so"}]}'
        return plain(server, method, path, headers, body)

    return answer


@pytest.mark.parametrize(
    ("status", "severity", "message"),
    [
        (202, "ok", "lab/x may be written"),
        (400, "error", "refuses the name lab/x"),
        (401, "error", "may not write lab/x"),
        (403, "error", "may not write lab/x"),
        (404, "error", "has no place for lab/x"),
        (405, "error", "is read only"),
        (429, "warning", "error just now"),
        (503, "warning", "error just now"),
        (501, "warning", "error just now"),
        (418, "error", "cannot be written"),
    ],
)
def test_the_preflight_says_what_a_push_would_meet(monkeypatch, status, severity, message):
    # What the engine sees of it is another test's matter, with a real engine.
    monkeypatch.setattr("bake.doctor.registry.engine_registry.check", lambda *_: iter(()))
    with serving(plain if status == 202 else refusing(status)) as server:
        subject = Subject(registry=server.host, image=f"{server.host}/lab/x:1", pushes=True, keyring=keyring(server))
        (finding,) = run_checks(subject, only=frozenset({"registry"}))
    assert finding.severity is Severity(severity)
    assert message in finding.message
    assert status == 202 or "said so" in finding.message
    assert bool(finding.remediation) == (severity != "ok")


def test_the_preflight_tells_no_login_from_a_wrong_one(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving(with_password) as server:
        place = {"registry": server.host, "image": f"{server.host}/lab/x:1", "pushes": True}
        wrong = keyring(server, secret="canary")
        (refused,) = run_checks(Subject(**place, keyring=wrong), only=frozenset({"registry"}))
        (absent,) = run_checks(Subject(**place), only=frozenset({"registry"}))
    assert (refused.severity, absent.severity) == (Severity.ERROR, Severity.ERROR)
    assert "refuses the login of the user ci (given)" in refused.message
    assert "asks for a login" in absent.message
    assert absent.remediation == f"docker login {server.host}, or give --username with --password-stdin"
    assert "canary" not in f"{refused} {absent}"
