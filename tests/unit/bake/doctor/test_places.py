"""The checks of folders, assets and mirrors, and what the doctor mends: real folders, real servers."""

from __future__ import annotations

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bake.assets import Request
from bake.doctor import Finding, Severity, Subject, mend, run_checks
from bake.errors import EnvironmentUnfit, Interrupted

CONTENT = b"an installer" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        body = CONTENT if self.status == 200 else b""
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    handler = type("One", (Handler,), {})
    opened: Any = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=opened.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    opened.handler = handler
    opened.url = f"http://127.0.0.1:{opened.server_address[1]}/tool.run"
    yield opened
    opened.shutdown()
    opened.server_close()
    thread.join()


def found(subject, name):
    return run_checks(subject, only=frozenset({name}))


def asset(url, sha256=SHA256):
    return Request(name="tool", url=url, file="tool.run", sources=(url,), sha256=sha256, size=len(CONTENT))


def test_a_missing_asset_is_fetched_by_the_doctor(server, tmp_path):
    subject = Subject(assets=(asset(server.url),), assets_folder=tmp_path / "assets")
    (before,) = found(subject, "assets")
    assert (before.severity, before.remediation) == (Severity.WARNING, "run `fetch`, or leave it to the build")
    assert "12.0 kB, is not on this machine" in before.message
    said: list[str] = []
    assert mend([before], said.append) == 1
    assert said[-1].startswith("fetched ")
    (after,) = found(subject, "assets")
    assert after.severity is Severity.OK
    assert "SHA-256 as expected" in after.message
    (unknown,) = found(Subject(assets=(asset(server.url, None),), assets_folder=tmp_path / "assets"), "assets")
    assert unknown.severity is Severity.WARNING
    next(tmp_path.rglob("tool.run")).write_bytes(b"other")
    (changed,) = found(subject, "assets")
    assert changed.severity is Severity.ERROR
    assert "is not the file that was checked" in changed.message


def test_a_missing_asset_that_nobody_could_check_is_an_error(tmp_path):
    (finding,) = found(Subject(assets=(asset("http://x/tool.run", None),), assets_folder=tmp_path), "assets")
    assert finding.severity is Severity.ERROR


def test_a_part_is_told_with_its_bytes(tmp_path):
    request = asset("http://x/tool.run")
    (tmp_path / f"{request.key}.part").write_bytes(b"x" * 500)
    (finding,) = found(Subject(assets=(request,), assets_folder=tmp_path), "assets")
    assert "500 B of tool.run are there" in finding.message


def test_what_can_not_be_mended_is_told_and_the_rest_goes_on(server, tmp_path):
    server.handler.status = 404
    subject = Subject(assets=(asset(server.url),), assets_folder=tmp_path / "a", folders=(tmp_path / "b",))
    said: list[str] = []
    assert mend(run_checks(subject, only=frozenset({"assets", "folders"})), said.append) == 2
    assert any("404" in line for line in said)
    assert (tmp_path / "b").is_dir()


def test_an_interruption_ends_the_mending():
    def interrupted(_say):
        raise Interrupted("interrupted")

    finding = Finding(severity=Severity.ERROR, check="assets", message="m", mend=interrupted)
    with pytest.raises(Interrupted):
        mend([finding], print)


@pytest.mark.parametrize(
    ("status", "severity"), [(200, "ok"), (404, "ok"), (401, "warning"), (403, "warning"), (502, "error")]
)
def test_mirrors(server, status, severity):
    server.handler.status = status
    (finding,) = found(Subject(mirrors=(server.url,)), "mirrors")
    assert finding.severity is Severity(severity)
    assert server.url in finding.message
    assert bool(finding.remediation) == (severity != "ok")


def test_mirrors_that_can_not_be_reached(server):
    url = server.url
    server.socket.close()
    findings = found(Subject(mirrors=(url, "http://mirror.invalid/")), "mirrors")
    assert [finding.severity for finding in findings] == [Severity.ERROR, Severity.ERROR]
    assert "Connection refused" in findings[0].message


def test_folders(tmp_path):
    there, missing, file = tmp_path / "there", tmp_path / "a/b", tmp_path / "file"
    there.mkdir()
    file.write_text("")
    findings = found(Subject(folders=(there, missing, file / "x")), "folders")
    assert [finding.severity for finding in findings] == [Severity.OK, Severity.OK, Severity.ERROR]
    assert f"{file} is no folder" in findings[2].message
    assert mend(findings, print) == 1
    assert missing.is_dir()


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    (finding,) = found(Subject(folders=(tmp_path,)), "folders")
    assert finding.severity is Severity.ERROR
    assert "may not be written" in finding.message


def test_no_subject_no_finding():
    assert run_checks(Subject(), only=frozenset({"assets", "mirrors", "folders", "driver", "container toolkit"})) == []


def test_a_failure_of_mending_keeps_its_remedy():
    def impossible(_say):
        raise EnvironmentUnfit("no", where="x", remedy="do this")

    said: list[str] = []
    assert mend([Finding(severity=Severity.ERROR, check="c", message="m", mend=impossible)], said.append) == 0
    assert said == ["c: not mended: x: no\n  what to do: do this"]
