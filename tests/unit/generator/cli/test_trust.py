"""Signing and its checks as people call them: in processes of their own, with a real registry and no engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bake.reference import Reference
from bake.registry import Outcome
from bake.registry.referrers import attach
from generator.commands.lock import locked
from generator.recipe import load_recipe
from generator.recipe.groups import FETCHER_IMAGE
from generator.resolve.resolve import this_platform
from generator.resolve.signing import Signing, signer_of
from generator.trust import Trust, provenance
from generator.trust.attached import signed
from generator.trust.statement import PROVENANCE, SBOM, SIGNATURE, VERIFICATION, statement
from tests.loopback import Loopback

TOP = Path(__file__).parents[4]
LOCK = f"""\
schema = 2
recipe = "small"

[base]
image = "base:1"
digest = "sha256:{"c" * 64}"
"""
ROW = {"check": "version", "subject": "torch", "expected": "2", "found": "2", "status": "pass", "detail": ""}
REPORT = {"schema": 1, "recipe": "small", "passed": True, "rows": [ROW]}
Keys = Callable[..., tuple[Path, Path]]


def generator(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "generator", "-r", "./small.toml", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOP), "NO_COLOR": "1", "COLUMNS": "240", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def push(lab: Loopback, folder: Path, private: Path) -> Reference:
    """Put an image there with what a bake of the recipe in this folder says of it."""
    image = lab.put_image("lab/small:1", folder.name.encode())
    loaded = load_recipe(str(folder / "small.toml"))
    applied = locked(loaded.recipe, str(folder / "small.toml"), None, platform=this_platform())
    documents = {"recipe": provenance.hashed(loaded.text), "lock": provenance.hashed(applied.text)}
    inputs = provenance.inputs_of(
        applied.recipe,
        base=applied.recipe.base.image,
        fetcher=applied.fetcher or FETCHER_IMAGE,
        checksums={},
        files=applied.files,
    )
    asked = provenance.parameters(applied.recipe, documents)
    origin = provenance.predicate(asked, inputs, source="https://git.example/lab", revision="0" * 40, version="1")
    said = {SIGNATURE: {}, PROVENANCE: origin, SBOM: {}, VERIFICATION: REPORT}
    texts = {kind: statement(str(image.digest), "image/small", kind, predicate) for kind, predicate in said.items()}
    signer = signer_of(Signing(key=str(private)))
    assert signer is not None
    answer = attach(lab.registry(), image, signed(lab.registry(), image, texts, signer, Trust()))
    assert answer.outcome is Outcome.ANSWERS
    return image


@pytest.fixture
def folder(tmp_path: Path, minimal: str) -> Path:
    (tmp_path / "small.toml").write_text(minimal)
    (tmp_path / "small.lock.toml").write_text(LOCK)
    (tmp_path / "site.toml").write_text('[trust]\nkeys = ["lab.pub"]\n')
    return tmp_path


def test_verify_tells_who_signed_an_image_and_what_it_was_made_from(
    folder: Path, lab: Loopback, write_keys: Keys
) -> None:
    image = push(lab, folder, write_keys("lab")[0])
    name = f"{lab.host}/lab/small:1"
    command = ("verify", "--provenance", name, "--site", "site.toml")
    done = generator(folder, *command)
    assert done.returncode == 0, done.stderr
    assert f"{name}@{image.digest}" in done.stdout
    assert "by lab.pub" in done.stdout
    assert "FAIL" not in done.stdout
    told = json.loads(generator(folder, *command, "--format", "json").stdout)
    assert told["passed"] is True
    assert {row["check"] for row in told["rows"]} == {"signed", "recipe", "lock", "input", "made by", "verification"}
    # A comment is another recipe than the one that was signed.
    (folder / "small.toml").write_text((folder / "small.toml").read_text() + "# changed\n")
    changed = generator(folder, *command)
    assert changed.returncode == 4
    assert "recipe file: expected sha256:" in changed.stderr
    assert "don't use the image" in changed.stderr


@pytest.mark.parametrize(
    ("more", "message", "status"),
    [
        ((), "name IMAGE; leave --gpu out", 2),
        (("IMAGE", "--gpu"), "name IMAGE; leave --gpu out", 2),
        (("IMAGE",), "nobody is trusted here", 2),
        (("ABSENT", "--site", "site.toml"), "the registry does not have the image", 3),
    ],
)
def test_what_can_not_be_checked_has_its_status(
    folder: Path, lab: Loopback, write_keys: Keys, more: tuple[str, ...], message: str, status: int
) -> None:
    write_keys("lab")
    names = {"IMAGE": f"{lab.host}/lab/small:1", "ABSENT": f"{lab.host}/lab/absent:1"}
    command = [names.get(word, word) for word in more]
    done = generator(folder, "verify", "--provenance", *command, XDG_CONFIG_HOME=str(folder / "none"))
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_password_is_told_before_anything_is_built(folder: Path, write_keys: Keys) -> None:
    private, _ = write_keys("lab", "word")
    done = generator(folder, "bake", "--sign-key", str(private), GENERATOR_SIGN_PASSWORD="another")
    assert done.returncode == 2
    assert "another one than was given" in done.stderr
    assert not (folder / "build").exists()
    shown = generator(folder, "bake", f"--sign-key={private.read_text()}", GENERATOR_SIGN_PASSWORD="word")
    assert (shown.returncode, "every user of this machine sees the command line" in shown.stderr) == (2, True)


def test_warm_wants_a_key_where_signed_wheels_alone_are_taken(folder: Path, lab: Loopback, write_keys: Keys) -> None:
    write_keys("lab")
    done = generator(folder, "warm", "--site", "site.toml", "--registry", lab.host)
    assert done.returncode == 2
    assert "takes signed wheels alone" in done.stderr
    assert "give --sign-key" in done.stderr


@pytest.mark.parametrize("command", [("bake",), ("warm", "--registry", "127.0.0.1:1"), ("verify",)])
def test_what_is_not_locked_is_told_wherever_it_is_fetched(folder: Path, command: tuple[str, ...]) -> None:
    done = generator(folder, *command, DOCKER_HOST="unix:///nowhere")
    assert done.returncode == 3
    assert "not locked: files.stack; `lock` holds them" in done.stderr


def test_no_child_gets_the_key_or_its_password(folder: Path, write_keys: Keys) -> None:
    private, _ = write_keys("lab", "word-of-the-lab")
    (folder / "bin").mkdir()
    docker = folder / "bin/docker"
    docker.write_text(f'#!/bin/sh\nenv >> {folder}/seen; echo "$@" >> {folder}/seen; exit 1\n')
    docker.chmod(0o755)
    secret = private.read_text().splitlines()[1]
    done = generator(
        folder,
        "bake",
        PATH=f"{folder}/bin:{os.environ['PATH']}",
        GENERATOR_SIGN_KEY=private.read_text(),
        GENERATOR_SIGN_PASSWORD="word-of-the-lab",
        DOCKER_HOST="unix:///nowhere",
    )
    assert done.returncode == 3
    seen = (folder / "seen").read_text()
    assert "DOCKER_HOST" in seen
    for text in (seen, done.stdout, done.stderr):
        assert secret not in text
        assert "word-of-the-lab" not in text
    files = [path for path in folder.rglob("*") if path.is_file() and path != private]
    assert not [path for path in files if secret.encode() in path.read_bytes()]
