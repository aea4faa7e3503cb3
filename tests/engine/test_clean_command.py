"""``clean`` on a real engine, with images and cache that the tests make; nothing else may be touched.

Proves the thing: what is removed is removed from a real engine.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bake.leftovers import Marks, find_cache, marks_of
from bake.leftovers.cache import ours, records
from generator.commands.clean import _marks
from generator.recipe import load_recipe
from lab.demo_rootfs import Machine, rootfs_for

pytestmark = pytest.mark.engine

TOP = Path(__file__).parents[2]
NAME = f"clean-test-{os.getpid()}"
STEP = f"{NAME}:rtx5090-step1"
RECIPE = f"""\
schema = 2
name = "{NAME}"
summary = "A recipe whose leftovers are removed"

[image]
tag = "{NAME}:result"

[base]
image = "{NAME}:base"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["six==1.17.0"]

[clean]
images = ["{STEP}", "{NAME}:rtx5090-step2"]
"""


def docker(*command, check=True, text=None):
    done = subprocess.run(["docker", *command], check=check, capture_output=True, text=True, input=text)
    return done.stdout.strip()


def build(tag, *, content, label, folder, on="scratch", after=""):
    (folder / "content").write_text(content * 100_000)
    lines = [f"FROM {on}", f"COPY content /{content}"]
    lines += (
        ["ARG BASE_IMAGE", f'LABEL org.opencontainers.image.base.name="x" io.image-uplift.recipe={label}']
        if label
        else []
    )
    (folder / "Dockerfile").write_text("\n".join([*lines, after]) + "\n")
    docker("buildx", "build", "--quiet", "--provenance=false", "--tag", tag, str(folder))
    return docker("image", "inspect", "--format", "{{.Id}}", tag)


def present(name):
    return docker("image", "inspect", "--format", "{{.Id}}", name, check=False)


@pytest.fixture
def images(tmp_path):
    """What bakes leave, and what only looks like it."""
    folder = tmp_path / "context"
    folder.mkdir()
    replaced = build(f"{NAME}:result", content="a", label=NAME, folder=folder)
    result = build(f"{NAME}:next", content="b", label=NAME, folder=folder)
    docker("tag", f"{NAME}:next", f"{NAME}:result")
    docker("image", "rm", f"{NAME}:next")
    made = {
        "replaced": replaced,
        "result": result,
        "derived": build(f"{NAME}:derived", content="c", label="", folder=folder, on=f"{NAME}:result"),
        "derived-replaced": build(f"{NAME}:gone", content="d", label="", folder=folder, on=f"{NAME}:result"),
        "other": build(f"{NAME}:other", content="e", label=f"{NAME}-other", folder=folder),
        "step": build(STEP, content="f", label="", folder=folder),
    }
    docker("tag", f"{NAME}:derived", f"{NAME}:gone")  # what had that name has none now
    yield made
    for name in (f"{NAME}:result", f"{NAME}:derived", f"{NAME}:gone", f"{NAME}:other", STEP, *made.values()):
        docker("image", "rm", "--force", name, check=False)


@pytest.fixture
def clean(tmp_path):
    def run(*options):
        (tmp_path / "r.toml").write_text(RECIPE)
        environment = {**os.environ, "PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(tmp_path / "assets")}
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "r.toml", "clean", *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


def test_only_what_a_bake_made_goes(clean, images):
    listed = clean()
    assert listed.returncode == 0, listed.stderr
    assert "nothing was removed; --yes removes what goes" in listed.stderr
    assert all(present(image) for image in images.values())
    assert images["replaced"].removeprefix("sha256:")[:12] in listed.stdout
    assert re.search(rf"{NAME}:result .*stays", listed.stdout)
    assert f"{NAME}:derived" not in listed.stdout
    assert f"{NAME}:other" not in listed.stdout
    dry = clean("--yes", "--dry-run")
    assert "dry run: nothing was removed" in dry.stderr
    assert all(present(image) for image in images.values())
    done = clean("--yes")
    assert done.returncode == 0, done.stderr
    freed = re.search(r"2 of 2 removed; at least ([\d.]+) kB", done.stderr)
    assert freed
    assert 200 <= float(freed[1]) < 300  # a layer of 100 kB each
    assert not present(images["replaced"])
    assert not present(STEP)
    for kept in ("result", "derived", "derived-replaced", "other"):
        assert present(images[kept]), kept


def test_named_results_go_on_request(clean, images):
    done = clean("--yes", "--images")
    assert done.returncode == 0, done.stderr
    assert not present(f"{NAME}:result")
    assert present(images["derived"])


@pytest.mark.usefixtures("images")
def test_an_image_in_use_stays_and_is_told(clean):
    container = docker("create", STEP, "x")
    try:
        done = clean("--yes")
    finally:
        docker("rm", container)
    assert done.returncode == 3
    assert "1 of 2 removed" in done.stderr
    assert STEP in done.stderr
    assert present(STEP)


@pytest.mark.usefixtures("images")
def test_the_question_on_a_terminal(clean, tmp_path):
    clean()  # writes the recipe
    for answer, gone in (("n\n", False), ("y\n", True)):
        ours_, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "generator", "-r", "r.toml", "clean"],
            cwd=tmp_path,
            env={key: value for key, value in os.environ.items() if key != "CI"}
            | {"PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(tmp_path / "assets")},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        os.write(ours_, answer.encode())
        process.communicate(timeout=60)
        os.close(ours_)
        assert process.returncode == 0
        assert (not present(STEP)) == gone


def test_nothing_left_is_said(clean):
    done = clean()
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing is left" in done.stderr


def test_the_cache_is_known_by_mount_and_command_and_goes_alone(tmp_path):
    """Two builds with a cache mount and a command each: only the marked one's records go."""
    unique = f"{NAME}-{time.time_ns()}"
    rootfs = _rootfs()
    for name in ("mine", "foreign"):
        (tmp_path / "Dockerfile").write_text(
            f"FROM {rootfs}\n"
            f'RUN --mount=type=cache,id={unique}-{name},target=/cache <<"SH"\n'
            f"set -eu\nhead -c 300000 /dev/urandom > /cache/{unique}-{name}\necho {unique}-{name} > /made\nSH\n"
        )
        docker("buildx", "build", "--quiet", "--output=type=cacheonly", str(tmp_path))
        if name == "mine":
            marks = marks_of([(tmp_path / "Dockerfile").read_text()])
    assert marks.mounts == {f"{unique}-mine"}

    def left(name):
        return [record for record in records(None) if f"{unique}-{name}" in record.description]

    assert len(left("mine")) >= 2
    before = len(left("foreign"))
    found = list(find_cache(None, marks))
    assert {entry.name for entry in found} == {f"cache mount {unique}-mine", "steps"}
    assert sum(entry.remove() for entry in found) >= 300_000
    assert left("mine") == []
    assert len(left("foreign")) == before
    foreign = Marks(mounts=frozenset({f"{unique}-foreign"}), commands=(f"echo {unique}-foreign > /made",))
    assert sum(entry.remove() for entry in find_cache(None, foreign)) >= 300_000


def test_rendered_targets_have_marks_and_records_of_others_have_none():
    marks = _marks(load_recipe("demo").recipe)
    assert {"uplift-fetch", "uplift-ccache"} <= marks.mounts
    assert len(marks.commands) >= 8
    assert not [record for record in ours(records(None), marks) if "demo-base" in record.description]


def _rootfs():
    return rootfs_for(Machine(say=print), force=False)
