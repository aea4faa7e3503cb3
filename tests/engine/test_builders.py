"""Builders made by ``docker buildx create`` and used through ``--builder``.

Their nodes are bridges to the engine's own BuildKit. Buildx keeps its notes in a folder of the test's own, so that the
user's builders are left alone.

Proves the thing for an engine's own builder; for remote ones the packaging, their nodes being bridges.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bake.reference import parse_reference
from bake.registry import Registry
from tests.engine.grpc_bridge import GrpcBridge
from tests.engine.remote_builder import create_builder
from tests.engine.small import RECIPE, TOP, docker, pushed_fetcher

pytestmark = [pytest.mark.engine, pytest.mark.long]
Run = Callable[..., subprocess.CompletedProcess[str]]


def buildx(folder: Path) -> dict[str, str]:
    return {**os.environ, "BUILDX_CONFIG": str(folder / "buildx")}


@pytest.fixture
def run(tmp_path: Path, base: str) -> Run:
    """Run ``python -m generator -r small COMMAND`` with builders of its own."""

    def run(*command: str, base: str = base, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "small.toml").write_text(RECIPE.format(base=base))
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "small.toml", *command],
            cwd=tmp_path,
            env={**buildx(tmp_path), "PYTHONPATH": str(TOP), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def bridges() -> Iterator[tuple[GrpcBridge, GrpcBridge]]:
    with GrpcBridge() as one, GrpcBridge() as other:
        yield one, other


def row_of_builder(doctor: subprocess.CompletedProcess[str]) -> Any:
    (row,) = (row for row in json.loads(doctor.stdout)["findings"] if row["check"] == "builder")
    return row


@pytest.fixture
def pushed_base(base: str, registry: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The small base in the loopback registry: there, a BuildKit that is not the engine's own can get it."""
    name = f"{registry}/lab/base:1"
    docker("tag", base, name)
    docker("push", "--quiet", name)
    docker("image", "rm", name)
    for variable, value in pushed_fetcher(f"{registry}/lab").items():
        monkeypatch.setenv(variable, value)
    yield name
    docker("image", "rm", "--force", name, check=False)


def test_a_builder_of_two_nodes_is_used_without_an_engine(
    run: Run, bridges: tuple[GrpcBridge, GrpcBridge], tmp_path: Path, pushed_base: str, registry: str
) -> None:
    early = run("bake", "--builder", "farm", base=pushed_base)
    assert early.returncode == 3, early.stderr
    assert "there is no builder farm" in early.stderr
    assert "see docs/builders.md" in early.stderr

    create_builder("farm", *(one.endpoint for one in bridges), environment=buildx(tmp_path))
    # Nothing of it needs an engine here: none answers.
    nowhere = f"unix://{tmp_path}/none.sock"
    pushing = ("--push", "--registry", registry)
    done = run("bake", "--builder", "farm", *pushing, base=pushed_base, DOCKER_HOST=nowhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{registry}/uplift-test-small:1@sha256:")
    assert Registry(registry).manifest(parse_reference(f"{registry}/uplift-test-small:1")).status == 200
    assert min(bridge.connections for bridge in bridges) > 0
    assert sum(bridge.connections for bridge in bridges) > 4
    assert docker("image", "ls", "--quiet", f"{registry}/uplift-test-small:1") == ""


def test_a_plain_bake_elsewhere_brings_the_image_to_the_engine(
    run: Run, bridges: tuple[GrpcBridge, GrpcBridge], base: str, pushed_base: str, tmp_path: Path
) -> None:
    tag = f"uplift-test-away:{os.getpid()}"
    create_builder("farm", bridges[0].endpoint, environment=buildx(tmp_path))
    (tmp_path / "site.toml").write_text('builder = "farm"\n')
    site = {"base": pushed_base, "GENERATOR_SITE": "site.toml"}
    try:
        done = run("bake", "--tag", tag, **site)
        assert done.returncode == 0, done.stderr
        assert docker("run", "--rm", "--entrypoint", "grep", tag, "-c", "weights_only", "/opt/app/load.py") == "1"
    finally:
        docker("image", "rm", "--force", tag, check=False)
    checked = run("verify", **site)
    assert checked.returncode == 0, checked.stderr
    local = run("verify", base, **site)
    assert local.returncode == 3
    assert "the builder farm (remote) gets images from registries" in local.stderr
    row = row_of_builder(run("doctor", "--format", "json", **site))
    assert row["severity"] == "ok"
    assert "the builder farm, driver remote: 1 node running" in row["message"]


def test_a_base_that_only_the_engine_holds_is_said_before_the_bake(
    run: Run, bridges: tuple[GrpcBridge, GrpcBridge], base: str, tmp_path: Path
) -> None:
    create_builder("farm", bridges[0].endpoint, environment=buildx(tmp_path))
    done = run("bake", "--builder", "farm")
    assert done.returncode == 3
    assert f"only this engine holds the base image {base}; the builder farm (remote)" in done.stderr
    assert "docker push REGISTRY/NAME:TAG, then bake --base REGISTRY/NAME:TAG" in done.stderr
    assert not (tmp_path / "build/results.json").exists()


def test_the_own_builder_of_another_engine_is_known_by_its_context(run: Run, tmp_path: Path) -> None:
    home = {"DOCKER_CONFIG": str(tmp_path / "docker")}
    socket = "unix:///var/run/docker.sock"
    create = ["docker", "context", "create", "other", "--docker", f"host={socket}"]
    subprocess.run(create, env={**os.environ, **home}, check=True, capture_output=True)
    # The current engine is one that does not answer; --builder other means the engine of that context.
    told = run("doctor", "--builder", "other", "--format", "json", DOCKER_HOST=f"unix://{tmp_path}/none.sock", **home)
    rows = {row["check"]: row for row in json.loads(told.stdout)["findings"]}
    assert (rows["engine"]["severity"], rows["base"]["severity"]) == ("ok", "ok"), told.stdout
    assert f"at {socket}" in rows["engine"]["message"]
    assert "the builder other, driver docker: 1 node running" in rows["builder"]["message"]


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A private CA with a certificate for a server, build.lab, and one for a client."""
    folder = tmp_path / "tls"
    folder.mkdir()

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes"]
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=lab", "-keyout", "ca.key", "-out", "ca.pem")
    for name, extension in (("server", "subjectAltName=DNS:build.lab"), ("client", "extendedKeyUsage=clientAuth")):
        (folder / "extension").write_text(f"{extension}\n")
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extension"]
        openssl("x509", "-req", "-in", "request", *signing, "-out", f"{name}.pem")
    return folder


def test_certificates_of_a_private_ca_open_a_remote_builder(run: Run, authority: Path, tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority / "ca.pem")
    tls.load_cert_chain(authority / "server.pem", authority / "server.key")
    tls.verify_mode = ssl.CERT_REQUIRED
    shared = f"cacert={authority / 'ca.pem'},servername=build.lab"
    own = f"cert={authority / 'client.pem'},key={authority / 'client.key'}"
    with GrpcBridge(tls=tls) as bridge:
        create_builder("stranger", bridge.endpoint, environment=buildx(tmp_path), options=shared)
        create_builder("known", bridge.endpoint, environment=buildx(tmp_path), options=f"{shared},{own}")
        refused = row_of_builder(run("doctor", "--builder", "stranger", "--format", "json"))
        taken = row_of_builder(run("doctor", "--builder", "known", "--format", "json"))
    assert refused["severity"] == "error"
    assert "1 of 1 nodes of the builder stranger do not answer" in refused["message"]
    assert taken["severity"] == "ok", taken
    assert "the builder known, driver remote: 1 node running" in taken["message"]


def test_a_node_that_does_not_answer(run: Run, tmp_path: Path) -> None:
    with GrpcBridge() as bridge:
        create_builder("farm", bridge.endpoint, environment=buildx(tmp_path))
    done = run("bake", "--builder", "farm", base=f"127.0.0.1:1/nothing@sha256:{'0' * 64}")
    assert done.returncode == 3
    assert "1 of 1 nodes of the builder farm do not answer" in done.stderr
    assert "Traceback" not in done.stderr
