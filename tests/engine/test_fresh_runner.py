"""What a runner with nothing on its disk takes from a private registry: several engines, TLS, a password.

Proves the thing for caches and what goes over the wire; for compiles the packaging, nvcc being a stand-in.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from bake.buildx import results
from generator.trust.statement import PROVENANCE, SBOM, SIGNATURE, VERIFICATION
from lab.demo_rootfs import Machine, rootfs_for
from tests.engine.extension import Project, build_base
from tests.engine.network.authority import Authority
from tests.engine.network.canary import holding
from tests.engine.network.engine import Engine
from tests.engine.network.fixtures import ACCOUNTS
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch
from tests.engine.small import TOP, docker, pushed_fetcher

pytestmark = [pytest.mark.engine, pytest.mark.long]

USER, PASSWORD = next(iter(ACCOUNTS.items()))
PASSPHRASE = "canary-7c1e9d-of-the-signing-key"
WHEELS = ("wheel-hello", "wheel-world")
STORE, CACHES = "fresh/uplift-wheels", "fresh/uplift-ccache"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A registry with a base in it, the machine's own engine, and two that start empty."""

    registry: PrivateRegistry
    project: Project
    bundle: Path
    fresh: tuple[Engine, Engine]
    fetcher: dict[str, str]
    said: list[str]

    def run(
        self, engine: Engine | None, *command: str, folder: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line, the project's recipe and a login given, on an engine; None: the machine's own."""
        place = self.project.folder / (folder or (engine.name if engine else "own"))
        place.mkdir(exist_ok=True)
        options = ["--registry", f"{self.registry.host}/fresh", "--username", USER, "--password-stdin"]
        options += ["--ca-bundle", str(self.bundle), "--progress", "plain"]
        own = engine.environment if engine else dict(os.environ)
        done = subprocess.run(
            [sys.executable, "-m", "generator", "-r", str(self.project.recipe), *command, *options],
            cwd=place,
            env={**own, "PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(self.project.assets)}
            | self.fetcher
            | (environment or {}),
            input=PASSWORD,
            capture_output=True,
            text=True,
            check=False,
        )
        self.said.append(done.stdout + done.stderr)
        return done

    def record(self, engine: Engine | None) -> Any:
        return results.load(self.project.folder / (engine.name if engine else "own") / "build").data


@pytest.fixture(scope="module")
def lab(
    switch: Switch,
    authority: Authority,
    private_registry: PrivateRegistry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("fresh")
    base = f"{private_registry.host}/fresh/base:1"
    build_base(base, rootfs_for(Machine(say=print), force=False))
    trusted = Path("/etc/docker/certs.d") / private_registry.host
    trusted.mkdir(parents=True)
    shutil.copy(authority.certificate, trusted / "ca.crt")
    configuration = tmp_path_factory.mktemp("login")
    login = ("--config", str(configuration))
    subprocess.run(
        ["docker", *login, "login", "--username", USER, "--password-stdin", private_registry.host],
        input=PASSWORD,
        text=True,
        check=True,
        capture_output=True,
    )
    docker(*login, "push", "--quiet", base)
    fetcher = pushed_fetcher(f"{private_registry.host}/fresh", *login)
    shutil.rmtree(configuration)
    project = Project(folder=folder, base=base, tag="uplift-test-compiled:1", extensions=("hello", "world"))
    project.write()
    try:
        with Engine("fresh-a", switch) as one, Engine("fresh-b", switch) as two:
            for engine in (one, two):
                engine.trust(private_registry.host, authority.certificate)
            yield Lab(
                registry=private_registry,
                project=project,
                bundle=authority.bundle(),
                fresh=(one, two),
                fetcher=fetcher,
                said=[],
            )
    finally:
        shutil.rmtree(trusted)
        docker("image", "rm", "--force", base, check=False)


@pytest.fixture(scope="module")
def warm(lab: Lab) -> str:
    """The registry after a first bake elsewhere; gives the digest of the image."""
    done = lab.run(None, "bake", "--push", "--cache", f"{lab.registry.host}/fresh/steps")
    assert done.returncode == 0, done.stderr[-4000:]
    assert {wheel["origin"] for wheel in lab.record(None)["wheels"].values()} == {"compiled"}
    assert sorted(tag.rpartition("-")[0] for tag in lab.registry.tags(CACHES)) == ["hello", "world"]
    return lab.registry.digest("fresh/uplift-test-compiled", "1")


def test_with_the_image_in_the_store_nothing_is_built_and_nothing_moved(lab: Lab, warm: str) -> None:
    one, _ = lab.fresh
    mark = lab.registry.mark()
    done = lab.run(one, "bake", "--push", "--store", "--tag", "uplift-test-compiled:1", "--tag", "again")
    assert done.returncode == 0, done.stderr[-4000:]
    assert lab.record(one)["stored"].endswith(warm)
    traffic = lab.registry.traffic(mark)
    assert traffic.pulled_bytes < 100_000
    assert sum(traffic.uploaded_bytes.values()) < 100_000
    assert one.docker("image", "ls", "--quiet") == ""
    assert lab.registry.digest("fresh/uplift-test-compiled", "again") == warm


@pytest.mark.usefixtures("warm")
def test_with_a_warm_registry_nothing_runs_and_the_image_is_the_same(lab: Lab) -> None:
    one, _ = lab.fresh
    mark = lab.registry.mark()
    done = lab.run(one, "bake", "--push", "--require-warm", "--cache", f"{lab.registry.host}/fresh/steps")
    assert done.returncode == 0, done.stderr[-4000:]
    data = lab.record(one)
    assert {wheel["origin"] for wheel in data["wheels"].values()} == {"store"}
    assert not {"toolchain", *WHEELS} & set(data["targets"])
    ran = {target for target, count in data["cache"].items() if count["ran"]}
    assert not {"torch", "tools", "inventory", "patch"} & ran, [
        (name, step["name"])
        for name in sorted(ran)
        for step in data["targets"][name]["steps"]
        if step["kind"] == "instruction" and not step["cached"]
    ]
    assert lab.registry.traffic(mark).uploaded_bytes.get("fresh/uplift-test-compiled", 0) < 100_000
    assert data["published"]["digest"] == lab.registry.digest("fresh/uplift-test-compiled", "1")


@pytest.mark.usefixtures("warm")
def test_with_wheels_only_no_compile_runs(lab: Lab) -> None:
    _, two = lab.fresh
    lab.registry.delete("fresh/steps")
    done = lab.run(two, "bake", "--push", "--require-warm", "--cache", f"{lab.registry.host}/fresh/steps")
    assert done.returncode == 0, done.stderr[-4000:]
    data = lab.record(two)
    assert data["cache"]["torch"]["ran"] == 1
    assert not {"toolchain", *WHEELS} & set(data["targets"])


@pytest.mark.usefixtures("warm")
def test_with_compiler_caches_only_no_compiler_runs(lab: Lab) -> None:
    """Two runners compile one extension each, from the compiler caches; a third merges without compiling."""
    lab.registry.delete("fresh/steps")
    lab.registry.delete(STORE)
    for engine, target in zip(lab.fresh, WHEELS, strict=True):
        refused = lab.run(engine, "bake", target, "--require-warm")
        assert refused.returncode == 1
        done = lab.run(engine, "bake", target)
        assert done.returncode == 0, done.stderr[-4000:]
        wheels = lab.record(engine)["wheels"]
        assert wheels[target]["origin"] == "compiled"
        assert wheels[target]["compiler_cache"] == {"hits": 3, "calls": 3}
        assert "toolchain" in lab.record(engine)["targets"]
    assert len(lab.registry.tags(STORE)) == 2
    merged = lab.run(None, "bake", "--push", "--require-warm")
    assert merged.returncode == 0, merged.stderr[-4000:]
    assert {wheel["origin"] for wheel in lab.record(None)["wheels"].values()} == {"store"}


@pytest.mark.usefixtures("warm")
def test_a_store_that_lost_a_blob_is_passed_over(lab: Lab) -> None:
    one, _ = lab.fresh
    (tag,) = [name for name in lab.registry.tags(STORE) if name.startswith("world-")]
    for digest in lab.registry.layers(STORE, tag):
        (path,) = [found for known, found in lab.registry.blobs() if known == digest]
        path.unlink()
    # The engine does not have the wheel of the other extension: another runner compiled it.
    one.docker("builder", "prune", "--all", "--force")
    done = lab.run(one, "bake")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "warning: the wheel store could not give wheel-" in done.stderr
    assert lab.record(one)["wheels"]["wheel-world"]["origin"] == "compiled"


def test_without_a_push_the_engine_pulls_the_image_of_the_store(lab: Lab, warm: str) -> None:
    one, _ = lab.fresh
    done = lab.run(one, "bake", "--store")
    assert done.returncode == 0, done.stderr[-4000:]
    assert lab.record(one)["stored"].endswith(warm)
    name = f"{lab.registry.host}/fresh/uplift-test-compiled:1"
    assert one.docker("run", "--rm", name, "/opt/env/bin/python", "-c", "import hello, world; print(1)") == "1"
    assert one.docker("image", "inspect", "--format", "{{json .RepoTags}}", name) == json.dumps([name])


@pytest.mark.usefixtures("warm")
def test_the_passwords_are_nowhere(lab: Lab) -> None:
    key = lab.project.folder / "lab.key"
    form = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))
    key.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*form))
    signing = {"GENERATOR_SIGN_KEY": str(key), "GENERATOR_SIGN_PASSWORD": PASSPHRASE}
    signed = lab.run(None, "bake", "--push", "--tag", "signed", environment=signing)
    assert signed.returncode == 0, signed.stderr[-4000:]

    blobs = list(lab.registry.blobs())
    files = [(str(path), path) for path in lab.project.folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    said_of = statements(blobs)
    assert {json.loads(text)["predicateType"] for text in said_of} >= {SIGNATURE, PROVENANCE, SBOM, VERIFICATION}
    for canary in (PASSWORD, PASSPHRASE):
        assert holding(canary.encode(), [*blobs, *files]) == []
        assert not any(canary.encode() in text for text in said_of)
        assert not any(canary in said for said in lab.said)


def statements(blobs: list[tuple[str, Path]]) -> list[bytes]:
    """The statements in envelopes, which are Base64 there."""
    found = [path.read_bytes() for _, path in blobs if path.stat().st_size < 10_000_000]
    envelopes = [json.loads(blob)["dsseEnvelope"] for blob in found if b'"dsseEnvelope"' in blob]
    return [base64.b64decode(envelope["payload"]) for envelope in envelopes]
