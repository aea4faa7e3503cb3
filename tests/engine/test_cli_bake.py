"""The command line on a small recipe without torch: real BuildKit, real PyPI, a base of a few hundred MB.

Proves the thing for the command line and the bake; nothing of torch, models or extensions.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bake.buildx import results
from bake.leftovers.images import PART, part_of
from bake.reference import parse_reference
from bake.registry import Registry
from tests.engine.small import RECIPE, TOP, docker, plain

pytestmark = pytest.mark.engine


@pytest.fixture
def bake(tmp_path: Path, base: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``python -m generator -r small COMMAND`` in an empty folder; ``changes`` edit the recipe's text."""

    def run(
        *command: str, changes: dict[str, str] | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        text = RECIPE.format(base=base)
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "small.toml").write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "small.toml", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TOP), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def steps(folder: Path, target: str) -> list[Any]:
    return [step for step in results.load(folder / "build").steps_of(target) if step.kind == "instruction"]


def test_bakes_verifies_tags_and_then_finds_all_cached(bake: Any, tmp_path: Path) -> None:
    done = bake("bake")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("uplift-test-small:1@sha256:")
    report = json.loads((tmp_path / "build/verify/report.json").read_text())
    assert report["passed"]
    assert "weights_only=False" in docker(
        "run", "--rm", "--entrypoint", "cat", "uplift-test-small:1", "/opt/app/load.py"
    )
    # What an import of the stack loads has its bytecode in the image.
    shell = ("run", "--rm", "--network=none", "--entrypoint", "sh", "uplift-test-small:1", "-c")
    assert docker(*shell, "ls /opt/env/lib/python3*/site-packages/__pycache__").startswith("six.cpython-")
    assert any(not step.cached for step in steps(tmp_path, "torch"))
    again = bake("bake", "--progress", "plain")
    assert again.stdout == done.stdout
    assert again.stderr.count("bake done after") == 1  # one bake does it all
    found = [step for target in ("torch", "patch", "image") for step in steps(tmp_path, target)]
    assert [step.name for step in found if step.state not in ("cached", "waiting")] == []  # waiting: not needed


def exports(folder: Path, target: str) -> list[Any]:
    return [step for step in results.load(folder / "build").steps_of(target) if step.kind == "export"]


def test_a_new_stack_is_packed_while_the_rest_is_built_and_leaves_nothing(bake: Any, tmp_path: Path) -> None:
    assert bake("bake").returncode == 0
    assert any("exporting to image" in step.name for step in exports(tmp_path, "torch"))
    assert docker("image", "ls", "--quiet", PART) == ""
    assert docker("run", "--rm", "--entrypoint", "/opt/env/bin/python", "uplift-test-small:1", "-c", "import six") == ""
    assert bake("bake").returncode == 0
    assert exports(tmp_path, "torch") == []


def test_a_stack_that_was_packed_for_nothing_goes_too(bake: Any, tmp_path: Path) -> None:
    done = bake("bake", changes={"may-change = []": 'expect = { six = "1.17.0+other" }'})
    assert done.returncode == 4
    assert exports(tmp_path, "torch")
    assert docker("image", "ls", "--quiet", PART) == ""


def test_what_was_not_verified_has_no_name(bake: Any, tmp_path: Path) -> None:
    done = bake("bake", "image", "--tag", "uplift-test-unnamed:1")
    assert done.returncode == 0, done.stderr
    assert "the image has no name, it is in the build cache alone" in done.stderr
    assert steps(tmp_path, "image")
    assert docker("image", "ls", "--quiet", "uplift-test-unnamed") == ""
    failed = bake("bake", "verify", changes={"may-change = []": 'expect = { six = "1.17.0+other" }'})
    assert failed.returncode == 4
    assert "version six: expected 1.17.0+other" in failed.stderr


def test_parts_of_a_killed_bake_go_with_the_next_one_in_its_folder(bake: Any, tmp_path: Path, base: str) -> None:
    left, others = part_of(tmp_path / "build"), part_of(tmp_path / "elsewhere")
    for name in (left, others):
        docker("tag", base, name)
    try:
        assert bake("bake").returncode == 0
        assert docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", PART).splitlines() == [others]
    finally:
        docker("image", "rm", left, others, check=False)


def test_the_report_tells_what_ran_and_what_the_layers_hold(bake: Any) -> None:
    done = bake("bake")
    assert done.returncode == 0, done.stderr
    shown = bake("report", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert report["layers_unknown"] == ""
    assert [layer["target"] for layer in report["layers"]] == ["torch", "image"]
    assert "uv pip install" in report["layers"][0]["instruction"]
    assert report["layers"][0]["uncompressed"] > 30_000  # six alone has that
    assert report["path"][-1]["name"].startswith("exporting to")
    assert sum(step["seconds"] for step in report["path"]) <= report["wall"]
    contents = report["contents"]
    assert "error" not in contents
    assert [package["name"] for package in contents["packages"]] == ["six"]
    assert contents["patched"]["files"] == 1
    assert contents["dead"] == {"bytes": 0, "files": 0}


def test_the_report_on_a_push_has_the_bytes_that_the_registry_keeps(bake: Any, registry: str, tmp_path: Path) -> None:
    done = bake("bake", "--push", "--registry", registry)
    assert done.returncode == 0, done.stderr
    shown = bake("report", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    manifest = Registry(registry).manifest(parse_reference(f"{registry}/uplift-test-small:1")).data
    sizes = [layer["size"] for layer in manifest["layers"][-2:]]
    assert [layer["compressed"] for layer in report["layers"]] == sizes
    assert any(step["target"] == "image" and "export" in step["name"] for step in report["path"])
    assert report["published"]["tags"][-1] == f"{registry}/uplift-test-small:1"
    page = bake("report", "--format", "html", "-o", "page.html")
    assert page.stdout == "page.html\n"
    assert f"{registry}/uplift-test-small:1" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_clean_removes_all_that_a_bake_wrote(bake: Any, tmp_path: Path) -> None:
    assert bake("bake").returncode == 0
    done = bake("clean", "--yes", environment={"GENERATOR_ASSETS_DIR": str(tmp_path / "assets")})
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "build").exists()
    assert docker("image", "ls", "--quiet", "uplift-test-small:1")


def test_the_rendered_folder_bakes_with_plain_buildx(bake: Any, tmp_path: Path) -> None:
    assert bake("render", "-o", "out").returncode == 0
    environment = {**os.environ, "CA_BUNDLE": os.environ.get("GENERATOR_CA_BUNDLE", "")}
    allow = [f"--allow=fs.read={environment['CA_BUNDLE']}"] if environment["CA_BUNDLE"] else []
    done = subprocess.run(
        ["docker", "buildx", "bake", "-f", "out/docker-bake.hcl", *allow, "verify"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/verify/report.json").read_text())["passed"]


def test_a_failing_check_names_its_row_moves_no_tag_and_leaves_no_image(bake: Any) -> None:
    tag, name = f"uplift-test-never:{os.getpid()}", f"small-{os.getpid()}"
    changes = {
        "uplift-test-small:1": tag,
        "may-change = []": 'expect = { six = "1.17.0+other" }',
        '"small"': f'"{name}"',
    }
    done = bake("bake", changes=changes)
    assert done.returncode == 4
    assert "version six: expected 1.17.0+other, found 1.17.0" in done.stderr
    assert docker("image", "ls", "--quiet", tag) == ""
    assert docker("image", "ls", "--all", "--quiet", "--filter", f"label=io.image-uplift.recipe={name}") == ""


def test_all_names_move_to_the_verified_image(bake: Any, tmp_path: Path) -> None:
    first, second = (f"uplift-test-names:{os.getpid()}{end}" for end in "ab")
    try:
        before = bake("bake", "--tag", first)
        assert before.returncode == 0, before.stderr
        after = bake("bake", "--tag", first, "--tag", second, changes={"six==1.17.0": "six==1.16.0"})
        assert after.returncode == 0, after.stderr
        digest = after.stdout.strip().rpartition("@")[2]
        assert before.stdout.strip().rpartition("@")[2] != digest
        images = [json.loads(docker("image", "inspect", name))[0] for name in (first, second)]
        assert [image["RepoDigests"][0].rpartition("@")[2] for image in images] == [digest, digest]
        recorded = results.load(tmp_path / "build").data["targets"]["image"]
        assert (recorded["digest"], recorded["tags"]) == (digest, [second, first])
    finally:
        docker("image", "rm", "--force", first, second, check=False)


def test_verify_takes_any_image_by_name(bake: Any, base: str) -> None:
    done = bake("verify", base, "--format", "json")
    assert done.returncode == 4
    rows = {(row["check"], row["subject"]): row for row in json.loads(done.stdout)["rows"]}
    assert rows["version", "six"]["status"] == "fail"
    assert f"{base}: " in done.stderr


def test_a_failing_step_is_named_with_its_line_and_output(bake: Any, tmp_path: Path) -> None:
    done = bake("bake", changes={"six==1.17.0": "six==0.0.0.1"})
    assert done.returncode == 1
    last = done.stderr[-4000:]
    assert "target fetch-stack" in last
    assert "build/contexts/fetch-stack/Dockerfile:" in last
    assert "six==0.0.0.1" in last
    assert "known cause: no package index that the step may use has a version that fits" in last
    recorded = results.load(tmp_path / "build").data
    assert recorded["failure"]["exit_status"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_bake_with_130(tmp_path: Path, number: signal.Signals, base: str) -> None:
    # A download of gigabytes: long enough to be interrupted.
    (tmp_path / "small.toml").write_text(RECIPE.format(base=base).replace("six==1.17.0", "torch==2.10.0"))
    process = subprocess.Popen(
        [sys.executable, "-m", "generator", "-r", "small.toml", "bake", "torch", "--progress", "plain"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith("started") and "torch" in line:
            break
    process.send_signal(number)
    _, said = process.communicate(timeout=5)
    assert process.returncode == 130
    assert "cancelled" in said
    assert results.load(tmp_path / "build").data["state"] == "cancelled"


@pytest.mark.parametrize(
    ("command", "changes", "status", "message"),
    [
        (["bake"], {"{base}": "uplift-test-nothing:1"}, 3, "is not on the engine"),
        (["bake", "--push", "--registry", "127.0.0.1:1"], {}, 3, "refuses the connection"),
        (["bake"], {"tag = ": "tga = "}, 2, 'did you mean "tag"?'),
        (["bake", "wheel-x"], {}, 2, "there is no target 'wheel-x'"),
        (["bake", "--arch", "12"], {}, 2, 'write "12.0"'),
        (["bake"], {'tag = "uplift-test-small:1"': 'tag = "uplift-test-small:1"\ndisk-gib = 1e5'}, 3, "are free"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    bake: Any, base: str, command: list[str], changes: dict[str, str], status: int, message: str
) -> None:
    done = bake(*command, changes={old.format(base=base): new for old, new in changes.items()})
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_engine(bake: Any, tmp_path: Path) -> None:
    done = bake("bake", environment={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert done.returncode == 3
    assert "no Docker Engine answers" in done.stderr


def test_the_ca_bundle_reaches_no_layer(bake: Any, tmp_path: Path) -> None:
    bundle = os.environ.get("GENERATOR_CA_BUNDLE")
    canary = tmp_path / "bundle.pem"
    known = Path(bundle).read_text() if bundle else "-----BEGIN CERTIFICATE-----\n"
    canary.write_text(f"# canary-5f1d9c\n{known}")
    done = bake("bake", "--ca-bundle", str(canary))
    assert done.returncode == 0, done.stderr
    archive = tmp_path / "image.tar"
    docker("save", "--output", str(archive), "uplift-test-small:1")

    with tarfile.open(archive) as outer:
        names = [member for member in outer.getmembers() if member.isfile()]
        for member in names:
            content = outer.extractfile(member)
            assert content is not None
            assert b"canary-5f1d9c" not in plain(content.read())
    assert "canary-5f1d9c" not in (tmp_path / "build/results.json").read_text() + done.stderr + done.stdout


def test_variables_of_the_bake_file_come_from_the_environment(bake: Any, registry: str) -> None:
    done = bake("bake", "torch", environment={"CACHE_REF": f"{registry}/uplift-test-cache", "MAX_JOBS": "1"})
    assert done.returncode == 0, done.stderr
    assert Registry(registry).manifest(parse_reference(f"{registry}/uplift-test-cache:torch")).status == 200
