"""Pushing for real: engine, registry with a password, and a gate between them that counts and does harm.

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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx import results
from bake.credentials import Keyring, Login, docker_login_env
from bake.reference import parse_reference
from bake.registry import Registry
from generator.resolve.caches import KEY
from tests.engine.gate import PASSWORD, USER, Gate, PasswordRegistry, Rule
from tests.engine.network.authority import Authority
from tests.engine.network.registry import PrivateRegistry
from tests.engine.network.switch import Switch
from tests.engine.small import RECIPE, TOP, docker, plain

pytestmark = [pytest.mark.engine, pytest.mark.long]
NAME = "uplift-test-push"


@pytest.fixture(scope="module")
def registry_with_password(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PasswordRegistry]:
    with PasswordRegistry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def gate(registry_with_password: PasswordRegistry) -> Iterator[Gate]:
    with Gate(registry_with_password.address) as made:
        yield made


class Place:
    """Bakes and pushes to one repository that is nobody else's."""

    def __init__(self, folder: Path, base: str, gate: Gate, registry: PasswordRegistry) -> None:
        self.folder, self.gate, self._registry = folder, gate, registry
        self.team = f"team-{folder.name.rpartition('-')[2].replace('_', '-')}-{os.getpid()}"
        # Another package than in other tests, so that nothing of theirs is cached by these.
        self.recipe = RECIPE.format(base=base).replace("uplift-test-small:1", f"{NAME}:1").replace("1.17.0", "1.16.0")

    @property
    def tags(self) -> dict[str, str]:
        """Those that people use: not the image store's, and no list of what refers to an image."""
        found = self._registry.tags(f"{self.team}/{NAME}")
        return {name: digest for name, digest in found.items() if not name.startswith((KEY, "sha256-"))}

    @property
    def results(self) -> dict[str, Any]:
        data: dict[str, Any] = dict(results.load(self.folder / "build").data)
        return data

    def start(self, *options: str, token: str = "", **environment: str) -> subprocess.Popen[str]:
        (self.folder / "small.toml").write_text(self.recipe)
        secret = {"GENERATOR_REGISTRY_TOKEN": token} if token else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "generator", "-r", "small.toml", "bake", "--push"]
            + ["--registry", f"{self.gate.address}/{self.team}", "--username", USER]
            + ([] if token else ["--password-stdin"])
            + list(options),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(TOP), **secret, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("" if token else PASSWORD)
        process.stdin.close()
        process.stdin = None
        return process

    def push(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*options, **environment)
        out, said = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, said)


@pytest.fixture
def place(tmp_path: Path, base: str, gate: Gate, registry_with_password: PasswordRegistry) -> Place:
    return Place(tmp_path, base, gate, registry_with_password)


def configuration(place: Place) -> dict[str, Any]:
    """The image's configuration, as the registry has it."""
    keyring = Keyring({place.gate.address: Login(username=USER, secret=PASSWORD, given=True)})
    registry = Registry(place.gate.address, keyring=keyring)
    image = parse_reference(f"{place.gate.address}/{place.team}/{NAME}:1")
    digest = registry.manifest(image).data["config"]["digest"]
    data: dict[str, Any] = registry._ask("GET", f"/v2/{image.repository}/blobs/{digest}").data
    return data


def size_of_report(place: Place) -> int:
    """Bytes of what the image store keeps beside the image: the report, and an artifact's empty configuration."""
    keyring = Keyring({place.gate.address: Login(username=USER, secret=PASSWORD, given=True)})
    registry = Registry(place.gate.address, keyring=keyring)
    image = parse_reference(f"{place.gate.address}/{place.team}/{NAME}@{place.tags['1']}")
    rows = registry.referrers(image)
    assert isinstance(rows, list)
    (row,) = rows
    manifest = registry.manifest(replace(image, digest=row["digest"])).data
    return int(manifest["config"]["size"]) + sum(int(layer["size"]) for layer in manifest["layers"])


def layers_of(registry: Registry, image: str) -> list[str]:
    """Digests of the layers of an image, or of the first one of an index."""
    reference = parse_reference(image)
    manifest = registry.manifest(reference).data
    if "manifests" in manifest:
        return layers_of(registry, f"{reference.registry}/{reference.repository}@{manifest['manifests'][0]['digest']}")
    return [layer["digest"] for layer in manifest["layers"]]


def test_layers_come_first_and_tags_in_use_last(place: Place, base: str) -> None:
    done = place.push("--tag", f"{NAME}:1", "--tag", "latest")
    assert done.returncode == 0, done.stderr
    digest = done.stdout.strip().rpartition("@")[2]
    content = f"1-{digest.removeprefix('sha256:')[:12]}"
    assert place.tags == {content: digest, "latest": digest, "1": digest}

    written = [entry for entry in place.gate.seen if entry.status == 201]
    names = [entry.path.rpartition("/")[2] for entry in written if "/manifests/" in entry.path]
    assert [name for name in names if name in place.tags] == [content, "latest", "1"]
    first = next(number for number, entry in enumerate(written) if entry.path.endswith(f"/{content}"))
    assert all("/blobs/" in entry.path for entry in written[:first])
    assert [name.startswith(KEY) for name in names[-3:]] == [True, False, False]  # the store's, and those in use last

    published = place.results["published"]
    repository = f"{place.gate.address}/{place.team}/{NAME}"
    assert published["digest"] == digest
    assert published["tags"] == [f"{repository}:{name}" for name in (content, "latest", "1")]
    assert [entry["error"] for entry in published["tries"]] == [""]
    labels = configuration(place)["config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == base
    assert labels["org.opencontainers.image.base.digest"].startswith("sha256:")
    assert labels["org.opencontainers.image.version"] == "1"
    assert labels["io.image-uplift.recipe"] == "small"

    before = place.gate.sent()
    assert before > 0
    again = place.push("--tag", f"{NAME}:1", "--tag", "latest")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert place.gate.sent() == before


def test_another_revision_runs_no_step_and_sends_no_layer(place: Place) -> None:
    origin = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "lab/x"}
    first = place.push(**origin, GITHUB_SHA="a" * 40)
    assert first.returncode == 0, first.stderr
    before = place.gate.sent()
    second = place.push(**origin, GITHUB_SHA="b" * 40)
    assert second.returncode == 0, second.stderr
    assert second.stdout != first.stdout
    record = results.load(place.folder / "build")
    instructions = [step for target in record.targets for step in record.steps_of(target) if step.kind == "instruction"]
    assert instructions
    assert {step.state for step in instructions} <= {"cached", "waiting"}  # waiting: not needed
    assert 0 < place.gate.sent() - before < 20_000  # the configuration
    labels = configuration(place)["config"]["Labels"]
    assert labels["org.opencontainers.image.source"] == "https://git.example/lab/x"
    assert labels["org.opencontainers.image.revision"] == "b" * 40


def test_a_push_that_is_refused_moves_no_tag(place: Place) -> None:
    assert place.push(GITHUB_REPOSITORY="x", GITHUB_SHA="a" * 40).returncode == 0
    old = place.tags
    place.gate.rules = [Rule(method="PUT", path="/manifests/", status=403, times=99)]
    done = place.push(GITHUB_REPOSITORY="x", GITHUB_SHA="b" * 40)
    assert done.returncode == 3
    assert "the push failed: the registry forbids it" in done.stderr
    assert "no tag in use has moved" in done.stderr
    assert "push: try" not in done.stderr
    assert place.tags == old
    recorded = place.results
    assert recorded["published"]["tags"] == []
    assert "403" in recorded["published"]["tries"][-1]["error"]


def test_what_passes_is_tried_again_and_what_arrived_is_not_sent_again(place: Place) -> None:
    place.gate.rules = [
        Rule(method="PUT", path="/manifests/", status=429, times=999, headers={"Retry-After": "1"}),
    ]
    said: list[str] = []
    sent = 0
    with place.start() as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if line.startswith("push: try 1 of 6 failed"):
                sent = place.gate.sent()
                place.gate.rules = []
    assert process.returncode == 0, "".join(said)
    assert sent > 0
    told = [line for line in said if line.startswith("push: ")]
    assert told[0].startswith("push: try 1 of 6 failed: the registry limits how often it may be asked (429")
    assert "again in 2 s" in told[0]
    assert place.gate.sent() - sent == size_of_report(place)  # of the image nothing
    errors = [entry["error"] for entry in place.results["published"]["tries"]]
    assert "429" in errors[0]
    assert errors[-1] == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_base_is_mounted_from_its_repository(place: Place, base: str, host: str) -> None:
    there = f"{place.gate.address}/{place.team}/base:1"
    # The engine remembers by host where a layer is from: of one that came by another name BuildKit knows no origin.
    brought = there.replace("127.0.0.1", host)
    for name in (there, brought):
        docker("tag", base, name)
    login = Login(username=USER, secret=PASSWORD, given=True)
    keyring = Keyring({place.gate.address: login, brought.partition("/")[0]: login})
    with docker_login_env(keyring) as environment:
        subprocess.run(["docker", "push", "--quiet", brought], check=True, env={**os.environ, **environment})
    registry = Registry(place.gate.address, keyring=keyring)
    layers = layers_of(registry, there)
    sent = len(place.gate.seen)
    place.recipe = place.recipe.replace(base, there)
    done = place.push()
    docker("image", "rm", *{there, brought})
    assert done.returncode == 0, done.stderr

    seen = place.gate.seen[sent:]
    mounted = [entry.path for entry in seen if entry.status == 201 and "mount=" in entry.path]
    assert {layer for layer in layers if any(layer in path for path in mounted)} == set(layers)
    uploaded = [entry.path for entry in seen if entry.method == "PUT" and "/blobs/uploads/" in entry.path]
    assert uploaded
    assert not any(layer.removeprefix("sha256:") in path for layer in layers for path in uploaded)
    # Nor are they compressed anew: the image names the same blobs.
    assert layers_of(registry, f"{place.gate.address}/{place.team}/{NAME}:1")[: len(layers)] == layers


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
