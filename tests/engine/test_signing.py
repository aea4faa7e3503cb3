"""Signed pushes and signed wheels, with the engine: what is attached, what is checked, what is compiled anew.

Proves the thing for signatures, statements and what a bake takes; for compiles the packaging, nvcc being a stand-in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bake.buildx import results
from bake.reference import parse_reference
from generator.trust import Trust
from generator.trust.attached import find
from generator.trust.keys import public_key
from generator.trust.statement import PROVENANCE, SBOM, SIGNATURE, VERIFICATION
from lab.demo_rootfs import Machine, rootfs_for
from tests.engine.extension import TARGET, Project, build_base
from tests.engine.small import TOP, docker
from tests.loopback import Loopback, loopback

pytestmark = pytest.mark.engine
TAG = f"uplift-test-signed:{os.getpid()}"
NAMES = ("lab", "others")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    base = f"uplift-test-signed-base:{os.getpid()}"
    build_base(base, rootfs_for(Machine(say=print), force=False))
    made = Project(folder=tmp_path_factory.mktemp("signed"), base=base, tag=TAG)
    made.write()
    for name in NAMES:
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (made.folder / f"{name}.key").write_bytes(private)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (made.folder / f"{name}.pub").write_bytes(public)
        (made.folder / f"{name}.toml").write_text(f'[trust]\nkeys = ["{name}.pub"]\n')
    yield made
    docker("image", "rm", "--force", base, TAG, check=False)


def run(project: Project, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(project.assets)}
    return subprocess.run(
        [sys.executable, "-m", "generator", "-r", str(project.recipe), *command],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def bake(project: Project, place: Loopback, *options: str) -> tuple[str, str, Any]:
    """Push; gives the image's digest, what was said, and where the wheel came from."""
    done = run(project, "bake", "--push", "--registry", place.host, *options)
    assert done.returncode == 0, done.stderr[-4000:]
    data: Any = results.load(project.folder / "build").data
    return done.stdout.strip().rpartition("@")[2], done.stderr, data["wheels"][TARGET]["origin"]


def test_a_signed_push_is_checked_and_unsigned_wheels_are_made_anew(project: Project, place: Loopback) -> None:
    assert run(project, "lock").returncode == 0
    unsigned, _, origin = bake(project, place)
    assert origin == "compiled"
    image = parse_reference(f"{place.host}/{TAG.partition(':')[0]}@{unsigned}")
    trust = Trust(keys={"lab.pub": public_key(project.folder / "lab.pub")})
    assert find(place.registry(), image, trust).verified == ()

    signed, said, origin = bake(project, place, "--sign-key", "lab.key", "--site", "lab.toml")
    assert "and it is not taken: not signed" in said
    assert origin != "store"
    assert signed == unsigned  # what is said of an image is no part of it

    said_of = {entry.predicate_type: entry for entry in find(place.registry(), image, trust).verified}
    assert set(said_of) == {SIGNATURE, PROVENANCE, SBOM, VERIFICATION}
    bom = said_of[SBOM].predicate
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None
    packages = {row["purl"] for row in bom["components"]}
    assert "pkg:pypi/six@1.17.0" in packages
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in packages)
    provenance = said_of[PROVENANCE].payload.decode()
    for private in (str(project.folder), str(Path.home()), place.host):
        assert private not in provenance

    _, _, origin = bake(project, place, "--site", "lab.toml", "--sign-key", "lab.key")
    assert origin == "store"
    _, said, origin = bake(project, place, "--site", "others.toml", "--sign-key", "others.key")
    assert "and it is not taken: signed by nobody who is trusted here" in said
    assert origin != "store"

    name = f"{place.host}/{TAG}"
    checked = run(project, "verify", "--provenance", name, "--site", "lab.toml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert signed in checked.stdout
    project.recipe.write_text(project.recipe.read_text().replace('archs = ["12.0"]', 'archs = ["9.0", "12.0"]'))
    changed = run(project, "verify", "--provenance", name, "--site", "lab.toml")
    assert changed.returncode == 4
    assert "recipe archs: expected 9.0, 12.0, found 12.0" in changed.stderr
