"""What a bake leaves in a registry and what the next one takes from there: wheels, compiler caches, cached steps.

Proves the thing for what is kept and found again; for compiles the packaging, nvcc being a stand-in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bake.buildx import results
from lab.demo_rootfs import Machine, rootfs_for
from tests.engine.extension import MODULE, TARGET, Project, build_base
from tests.engine.small import TOP, docker

pytestmark = pytest.mark.engine

TAG = f"uplift-test-compiled:{os.getpid()}"


@pytest.fixture(scope="module")
def compiled_base() -> Iterator[str]:
    name = f"uplift-test-compiled-base:{os.getpid()}"
    build_base(name, rootfs_for(Machine(say=print), force=False))
    yield name
    docker("image", "rm", "--force", name, TAG, check=False)


@pytest.fixture(scope="module")
def project(compiled_base: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(folder=tmp_path_factory.mktemp("compiled"), base=compiled_base, tag=TAG)
    made.write()
    return made


def run(project: Project, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(TOP), "GENERATOR_ASSETS_DIR": str(project.assets), **more}
    return subprocess.run(
        [sys.executable, "-m", "generator", "-r", str(project.recipe), *command],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def record(project: Project) -> Any:
    return results.load(project.folder / "build").data


def tags(registry: str, repository: str) -> list[str]:
    with urllib.request.urlopen(f"http://{registry}/v2/{repository}/tags/list") as answer:
        return list(json.load(answer)["tags"])


@pytest.fixture(scope="module")
def stored(project: Project, registry: str) -> str:
    """A registry that a first bake left its wheel and its compiler cache in."""
    done = run(project, "bake", "--registry", registry)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"{TARGET}: compiled, 0 of 3 compiler calls from the compiler cache; pushed to the store" in done.stderr, (
        done.stderr
    )
    wheel = record(project)["wheels"][TARGET]
    assert wheel["origin"] == "compiled"
    assert re.match(r"\d+ compilers? at a time: ", wheel["compilers"]["budget"])
    assert wheel["compilers"]["measured"].startswith("3 files in ")
    assert tags(registry, "uplift-wheels") == [f"hello-{wheel['key'][:32]}"]
    assert [tag.rpartition("-")[0] for tag in tags(registry, "uplift-ccache")] == ["hello"]
    return registry


def test_what_is_in_the_store_is_not_even_part_of_the_build(project: Project, stored: str) -> None:
    done = run(project, "bake", "--registry", stored, "--require-warm")
    assert done.returncode == 0, done.stderr[-4000:]
    data = record(project)
    assert data["wheels"][TARGET]["origin"] == "store"
    assert not {TARGET, "toolchain"} & set(data["targets"])
    assert data["cache"]["image"]["ran"] == 0
    program = "import hello; print(hello.sum())"
    image = f"{stored}/{TAG}"
    assert docker("run", "--rm", "--entrypoint", "/opt/env/bin/python", image, "-c", program) == "3"
    docker("image", "rm", "--force", image)


def test_a_second_store_is_only_read(project: Project, stored: str) -> None:
    options = ("--wheels", "none", "--wheels-readonly", f"{stored}/uplift-wheels", "--compiler-cache", "none")
    done = run(project, "bake", *options, "--require-warm")
    assert done.returncode == 0, done.stderr[-4000:]
    assert record(project)["wheels"][TARGET]["reference"].startswith(f"{stored}/uplift-wheels:hello-")


def test_a_target_that_is_in_the_store_needs_no_bake(project: Project, stored: str) -> None:
    done = run(project, "bake", TARGET, "--registry", stored)
    assert done.returncode == 0
    assert f"{TARGET} is in the wheel store: {stored}/uplift-wheels:hello-" in done.stderr
    assert "bake wheel-hello" not in done.stderr


def test_a_changed_source_is_not_warm_and_why_is_told(project: Project, stored: str) -> None:
    before = tags(stored, "uplift-wheels")
    project.write(one="int one() { return 40; }\n")
    told = run(project, "plan", "--why", TARGET)
    assert told.returncode == 0
    assert told.stdout.startswith("source file Dockerfile: ")
    assert "toolchain" not in told.stdout
    done = run(project, "bake", "--registry", stored, "--require-warm")
    assert done.returncode == 1
    assert "may not run here: " in done.stderr
    assert f"{TARGET} (key " in done.stderr
    assert "run `warm`" in done.stderr
    assert tags(stored, "uplift-wheels") == before


def test_warm_compiles_only_what_changed_and_exports_no_image(project: Project, stored: str) -> None:
    project.write(one="int one() { return 40; }\n")
    done = run(project, "warm", "--registry", stored)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"{TARGET}: compiled, 2 of 3 compiler calls from the compiler cache; pushed to the store" in done.stderr
    wheel = record(project)["wheels"][TARGET]
    assert wheel["compiler_cache"] == {"hits": 2, "calls": 3}
    assert wheel["compilers"]["measured"].startswith("1 files in ")
    assert "the largest of an earlier compile" in wheel["compilers"]["budget"]
    assert docker("image", "ls", "--quiet", f"{stored}/{TAG}") == ""
    assert run(project, "bake", "--registry", stored, "--require-warm").returncode == 0
    docker("image", "rm", "--force", f"{stored}/{TAG}")
    project.write()


def test_what_was_compiled_before_a_store_was_named_is_kept_with_its_compiler_cache(
    project: Project, stored: str
) -> None:
    project.write(one="int one() { return 70; }\n")
    assert run(project, "bake", TARGET).returncode == 0
    done = run(project, "bake", TARGET, "--registry", stored, "--compiler-cache", f"{stored}/late")
    assert done.returncode == 0, done.stderr[-4000:]
    wheel = record(project)["wheels"][TARGET]
    assert wheel["origin"] == "cached"
    assert f"hello-{wheel['key'][:32]}" in tags(stored, "uplift-wheels")
    (tag,) = tags(stored, "late")
    assert tag.startswith("hello-")
    project.write()


def test_a_second_compile_gives_the_same_wheel(project: Project, stored: str, tmp_path: Path) -> None:
    """The packaging and the host compiler; test_equal_wheels.py has the real nvcc."""
    project.write(one="int one() { return 81; }\n")  # no store has it: both are compiled
    wheels = {}
    for name, anew in (("first", ""), ("second", 'env = { CCACHE_RECACHE = "1" }\n')):
        project.recipe.write_text(project.recipe.read_text() + anew)
        done = run(project, "bake", TARGET, "--registry", stored)
        assert done.returncode == 0, done.stderr[-4000:]
        key = record(project)["wheels"][TARGET]["key"]
        wheels[name] = wheel_of(f"{stored}/uplift-wheels:hello-{key[:32]}", tmp_path / name)
    assert record(project)["wheels"][TARGET]["compilers"]["measured"].startswith("3 files in ")
    assert wheels["first"] == wheels["second"]
    project.write()


def wheel_of(reference: str, folder: Path) -> bytes:
    """Read the wheel that a store keeps."""
    (wheel,) = [path for path in files_of(reference, folder) if path.suffix == ".whl"]
    return wheel.read_bytes()


def objects_of(reference: str, folder: Path) -> set[str]:
    """Names of what ccache keeps as results."""
    return {path.name for path in files_of(reference, folder) if path.name.endswith("R")}


def files_of(reference: str, folder: Path) -> list[Path]:
    """Unpack what a store keeps."""
    container = docker("create", reference, "nothing")
    docker("cp", f"{container}:/.", str(folder))
    docker("rm", container)
    docker("image", "rm", "--force", reference)
    return [path for path in folder.rglob("*") if path.is_file()]


def test_at_its_deadline_a_bake_saves_what_it_compiled_and_the_next_one_goes_on(
    project: Project, stored: str, tmp_path: Path
) -> None:
    project.write(one="int one() { return 90; }\n", two="int two() { return 91; } // takes long\n")
    options = ("--registry", stored, "--compiler-cache", f"{stored}/halted")
    (last,) = tags(stored, "uplift-ccache")
    before = objects_of(f"{stored}/uplift-ccache:{last}", tmp_path / "before")
    done = run(project, "bake", TARGET, *options, "--deadline", "45s")
    assert done.returncode == 5, done.stderr[-4000:]
    assert "the deadline came before the build was done" in done.stderr
    assert record(project)["state"] == "cancelled"
    (tag,) = tags(stored, "halted")
    new = objects_of(f"{stored}/halted:{tag}", tmp_path / "halted") - before
    assert len(new) == 1  # of one.cu; that of the module was there
    project.write(one="int one() { return 90; }\n", two="int two() { return 92; }\n")
    done = run(project, "bake", TARGET, *options)
    assert f"{TARGET}: compiled, 2 of 3 compiler calls from the compiler cache" in done.stderr, done.stderr[-4000:]
    project.write()


def test_who_sets_max_jobs_gets_no_more_compilers(project: Project) -> None:
    project.write(one="int one() { return 50; }\n", two="int two() { return 51; }\n", module=MODULE + "\nint three;\n")
    done = run(project, "bake", TARGET, "--wheels", "none", MAX_JOBS="1")
    assert done.returncode == 0, done.stderr[-4000:]
    said = record(project)["wheels"][TARGET]["compilers"]
    assert said["budget"].startswith("1 compiler at a time: MAX_JOBS; ")
    assert said["measured"].startswith("3 files in ")
    assert ", at most 1 compilers at once, " in said["measured"]
    project.write()


def test_a_store_that_does_not_answer_is_a_warning(project: Project) -> None:
    done = run(project, "bake", TARGET, "--wheels", "127.0.0.1:1/wheels")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "warning: the wheel store 127.0.0.1:1/wheels can't be asked" in done.stderr
    assert f"warning: the wheels of {TARGET} could not be pushed to 127.0.0.1:1/wheels" in done.stderr


def test_warm_says_when_it_can_not_fill_the_store(project: Project) -> None:
    done = run(project, "warm", "--wheels", "127.0.0.1:1/wheels")
    assert done.returncode == 3
    assert "error: wheel store: the wheels of" in done.stderr
    nothing = run(project, "warm")
    assert nothing.returncode == 2
    assert "give --registry" in nothing.stderr


def test_the_registry_cache_is_kept_for_each_branch_and_written_once(project: Project, stored: str) -> None:
    repository = f"{stored}/steps"
    assert run(project, "bake", "patch", "--cache", repository, "--cache-branch", "Fix/1").returncode == 0
    (branch,) = tags(stored, "steps")  # a tag of the inputs would be read by the main branch
    assert branch.startswith("patch.fix-1-")
    assert run(project, "bake", "patch", "--cache", repository, "--cache-branch", "").returncode == 0
    main, *others = sorted(tags(stored, "steps"))
    (key,) = set(others) - {branch}
    assert (main, key.startswith("patch.key-")) == ("patch", True)
    same = run(project, "bake", "patch", "--cache", repository, "--cache-branch", "Fix/2")
    assert same.returncode == 0
    assert "exporting cache" not in same.stderr
    assert set(tags(stored, "steps")) == {main, branch, key}


def test_a_registry_cache_that_can_not_be_reached_is_one_warning(project: Project) -> None:
    done = run(project, "bake", "patch", "--cache", "127.0.0.1:1/steps")
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("warning: ") == 1
    assert "the registry cache 127.0.0.1:1/steps can't be reached" in done.stderr


def test_an_archive_that_lies_under_its_own_name_is_used_and_checked(project: Project) -> None:
    (fetched,) = project.assets.glob("hello-*/hello-1.0.tar.gz")
    lying = project.assets / "by-hand" / fetched.name
    lying.parent.mkdir()
    lying.write_bytes(fetched.read_bytes())
    asset = {"GENERATOR_ASSETS_DIR": str(lying.parent)}  # its address exists nowhere
    done = run(project, "bake", "source-hello", **asset)
    assert done.returncode == 0, done.stderr[-4000:]
    lying.write_bytes(b"another")
    wrong = run(project, "bake", "source-hello", **asset)
    assert wrong.returncode == 3
    assert f"{lying}: its SHA-256 is" in wrong.stderr
