"""Pushing for real: engine, registry with a password, and a gate between them that counts and does harm.

Proves the thing: engine, registry and their protocol are real.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from bake.buildx import results
from bake.credentials import Keyring, Login, docker_login_env
from bake.reference import parse_reference
from bake.registry import Registry
from generator.resolve.caches import KEY
from tests.engine.gate import PASSWORD, USER, Rule
from tests.engine.pushing import NAME, Place, gate, place, registry_with_password
from tests.engine.small import docker

# Fixtures that are defined elsewhere.
__all__ = ["gate", "place", "registry_with_password"]

pytestmark = [pytest.mark.engine, pytest.mark.long]


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
