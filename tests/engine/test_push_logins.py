"""Logins and certificates of a push: what is used, what is said before the bake, and that a token is seen nowhere.

Proves the thing: engine, registry and their protocol are real.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.engine.gate import PASSWORD, USER, PasswordRegistry, Rule
from tests.engine.network.authority import Authority
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch
from tests.engine.pushing import NAME, Place, gate, place, registry_with_password
from tests.engine.small import TOP, plain

# Fixtures that are defined elsewhere.
__all__ = ["gate", "place", "registry_with_password"]


pytestmark = [pytest.mark.engine, pytest.mark.long]


def test_a_token_is_seen_nowhere(place: Place, registry_with_password: PasswordRegistry) -> None:
    place.gate.rules = [Rule(method="PUT", path="/manifests/1$", status=503, times=1)]  # keeps it busy for a while
    canary = PASSWORD.encode()
    process = place.start(token=PASSWORD)
    words: Any = process.args
    own = "".join(f"{word}\0" for word in words).encode()  # once it has become that program
    holders: set[str] = set()
    looked: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    command = (entry / "cmdline").read_bytes()
                    environment = (entry / "environ").read_bytes()
                    becoming = command != (entry / "cmdline").read_bytes() or not command
                except OSError:
                    continue
                # Who was given it has it, and so has each fork until it becomes another program.
                if entry.name == str(os.getpid()) or command == own or becoming:
                    continue
                looked.add(command.split(b"\0")[0].decode(errors="replace").rpartition("/")[2])
                if canary in command + environment:
                    holders.add(command.decode(errors="replace"))
            with contextlib.suppress(OSError):  # gone meanwhile
                for path in Path(tempfile.gettempdir()).glob("image-uplift-login-*/*/*"):
                    if path.is_file() and not path.is_symlink():
                        looked.add(path.name)
                        if canary in path.read_bytes():
                            holders.add(str(path))

    thread = threading.Thread(target=look)
    thread.start()
    out, said = process.communicate(timeout=300)
    over.set()
    thread.join()
    assert process.returncode == 0, said
    assert {"docker", "config.json", "docker-credential-image-uplift"} <= looked
    assert holders == set()
    assert PASSWORD not in out + said
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    assert any(path.name == "results.json" for path in files)
    assert [path for path in files if canary in path.read_bytes()] == []
    blobs = registry_with_password.blobs()
    assert blobs
    assert [path for path in blobs if canary in plain(path.read_bytes())] == []


def test_without_a_given_login_dockers_own_is_used(place: Place) -> None:
    folder = place.folder / "docker"
    folder.mkdir()
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {place.gate.address: {"auth": auth}}}))
    (place.folder / "small.toml").write_text(place.recipe)
    registry = f"{place.gate.address}/{place.team}"
    done = subprocess.run(
        [sys.executable, "-m", "generator", "-r", "small.toml", "bake", "--push", f"--registry={registry}"],
        cwd=place.folder,
        env={**os.environ, "PYTHONPATH": str(TOP), "DOCKER_CONFIG": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1" in place.tags


def test_what_a_push_would_meet_is_said_before_the_bake(place: Place) -> None:
    refused = place.push(token="wrong")
    assert refused.returncode == 3
    assert f"refuses the login of the user {USER} (given)" in refused.stderr
    place.gate.rules = [Rule(method="POST", status=403, times=99)]
    forbidden = place.push()
    assert forbidden.returncode == 3
    assert f"may not write {place.team}/{NAME}" in forbidden.stderr
    assert not (place.folder / "build/results.json").exists()


def test_the_engine_is_asked_whether_it_trusts_a_private_ca(
    place: Place, switch: Switch, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp := tmp_path_factory.mktemp("private")).joinpath("ca.pem").write_bytes(authority.bundle().read_bytes())
    with PrivateRegistry(tmp_path_factory.mktemp("tls"), switch, authority, accounts={USER: PASSWORD}) as registry:
        options = ["--registry", f"{registry.host}/{place.team}", "--ca-bundle", str(tmp / "ca.pem")]
        unknown = place.push("--registry", f"{registry.host}/{place.team}")
        assert unknown.returncode == 3
        assert f"the certificate of {registry.host} is not trusted" in unknown.stderr
        refused = place.push(*options)
        assert refused.returncode == 3
        assert f"the engine does not trust the certificate of {registry.host}" in refused.stderr
        (remedy,) = [line for line in refused.stderr.splitlines() if "install the CA for the engine: " in line]
        try:
            subprocess.run(remedy.partition("engine: ")[2].replace("sudo ", ""), shell=True, check=True)
            done = place.push(*options)
            assert done.returncode == 0, done.stderr
            assert registry.tags(f"{place.team}/{NAME}")[0].startswith("1")
        finally:
            shutil.rmtree(f"/etc/docker/certs.d/{registry.host}", ignore_errors=True)
