"""The recipe `deepprep`, baked through a mirror with a password, on a stand-in base; what can differ from it.

Proves the packaging. The stand-ins keep names, tags, layout and device code of the real files (see ``lab/README.md``);
their torch is no torch, so what is proven here is the recipe's path through mirrors, toolkits, packages, patches,
models and checks. Of the recipe nothing is changed but the names of both images, which are the tests' own. The thing is
proven by `make real`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bake.buildx import results
from generator.recipe import load_recipe
from generator.resolve.resolve import asset_folder
from tests.engine.mirror import ARCHIVE, BASE, PASSWORD, RUNFILE, Lab, docker
from tests.engine.small import plain, unpack

pytestmark = pytest.mark.engine

IMAGE = f"uplift-test-deepprep:{os.getpid()}"
SHIPPED = ("--site", "site.toml", "--base", BASE, "--tag", IMAGE)  # the recipe as it ships, under other names
GUIDE = {  # the guide's expected table
    "pyg-lib": "0.5.0+pt27cu128",
    "pytorch3d": "0.7.9",
    "torch": "2.7.0+cu128",
    "torch-cluster": "1.6.3+pt27cu128",
    "torch-geometric": "2.7.0",
    "torch-scatter": "2.1.2+pt27cu128",
    "torch-sparse": "0.6.18+pt27cu128",
    "torch-spline-conv": "1.2.2+pt27cu128",
    "torchaudio": "2.7.0+cu128",
    "torchvision": "0.22.0+cu128",
}
SMALL = """\
schema = 2
name = "small"
summary = "The stack, and little else"

[image]
tag = "uplift-test-lab:{tag}"

[base]
image = "{base}"
prefix = "/opt/conda/envs/deepprep"

[stack]
from = "torch2.7-cu128"
remove = [
    "torch-scatter", "torch-sparse", "torch-cluster", "torch-spline-conv", "pyg-lib", "pytorch3d", "torch-geometric"
]
"""


@pytest.fixture(scope="module")
def baked(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one bake of the recipe, as it ships, with a site file and names of its own."""
    folder = tmp_path_factory.mktemp("deepprep")
    lab.write_site(folder)
    done = lab.generator("bake", *SHIPPED, folder=folder)
    assert done.returncode == 0, done.stderr[-6000:]
    assert done.stdout.startswith(f"{IMAGE}@sha256:")
    (folder / "said.txt").write_text(done.stdout + done.stderr)
    yield folder
    docker("image", "rm", "--force", IMAGE, check=False)


@pytest.fixture(scope="module")
def rows(baked: Path) -> list[dict[str, str]]:
    report: Any = json.loads((baked / "build/verify/report.json").read_text())
    assert report["passed"] is True
    return list(report["rows"])


def of(rows: list[dict[str, str]], check: str, *, status: str | None = None) -> dict[str, dict[str, str]]:
    return {row["subject"]: row for row in rows if row["check"] == check and status in (None, row["status"])}


def test_it_is_the_recipe_that_the_command_line_takes_without_a_name(baked: Path) -> None:
    assert json.loads((baked / "build/verify/report.json").read_text())["recipe"] == "deepprep"


def test_every_version_of_the_guides_table_with_its_local_part(rows: list[dict[str, str]]) -> None:
    assert {name: row["found"] for name, row in of(rows, "version", status="pass").items()} == GUIDE


def test_every_extension_has_code_for_the_four_archs(rows: list[dict[str, str]]) -> None:
    sass = of(rows, "sass", status="pass")
    assert len(sass) == 6
    assert all(row["found"] == "sm_80 sm_86 sm_90 sm_120" for row in sass.values())


def test_the_ten_models_were_found_by_pattern_and_agree(rows: list[dict[str, str]]) -> None:
    models = of(rows, "model", status="pass")
    assert len(models) == 10
    assert all("2 outputs bitwise equal" in row["detail"] for row in models.values())


def test_other_checkpoints_load_and_what_is_none_is_told(rows: list[dict[str, str]]) -> None:
    folder = "/opt/model/FastCSR"
    found = of(rows, "checkpoint")
    assert found[f"{folder}/lh.pth"]["status"] == "pass"
    assert found[f"{folder}/model_final_checkpoint.model"]["status"] == "pass"
    assert found[f"{folder}/notes.model"]["found"] == "no checkpoint of torch"


def test_the_pipelines_three_calls_are_patched_and_others_listed_with_a_reason(rows: list[dict[str, str]]) -> None:
    changed = [row["found"] for row in of(rows, "patch", status="pass").values()]
    assert sorted(changed) == ["1 calls changed", "2 calls changed", "none"]
    elsewhere = {
        subject.rpartition("site-packages/")[2]: row["found"] for subject, row in of(rows, "torch-load").items()
    }
    assert "add it to patch.roots" in elsewhere["nnunet/model_restore.py:5"]
    assert "its own torch 1.10.2" in elsewhere["synthstrip/load.py:2"]
    assert "came with the new stack" in elsewhere["torch_geometric/io/fs.py:242"]


def test_the_rest_of_the_environment_stays(rows: list[dict[str, str]]) -> None:
    moved = of(rows, "difference")
    assert not {"tensorflow", "numpy", "nnunet", "protobuf", "nvidia-cudnn-cu11"} & set(moved)
    assert moved["torch"]["expected"] == "2.0.1+cu118"
    assert of(rows, "conflict")["tensorflow"]["found"] == "the base has it too"
    libraries = "/opt/conda/envs/deepprep/lib/python3.11/site-packages"
    script = f"cat {libraries}/tensorflow/libcudart.so.11.0 {libraries}/nvidia/cudnn/lib/libcudnn.so.8"
    assert docker("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", script) == "11.811.8"


def test_everything_came_through_the_mirror(lab: Lab, baked: Path) -> None:
    served = " ".join(lab.served())
    assert "torch-2.7.0%2Bcu128" in served
    assert "/pyg/whl/torch-2.7.0+cu128.html" in served
    assert "pyg_lib-0.5.0%2Bpt27cu128" in served
    assert "cuda_12.8.0_570.86.10_linux.run" in served
    assert "/github/facebookresearch/pytorch3d/archive/refs/tags/v0.7.9.tar.gz" in served
    assert baked.is_dir()


def test_neither_toolkit_nor_installer_nor_compiler_is_in_the_image(baked: Path) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE)
    assert not re.search(r"cuda_12|apt-get install --yes --no-install-recommends g", history)
    script = "ls -d /usr/local/cuda* /opt/cuda /installer /usr/bin/g++* /opt/build-requires /tools /uplift 2>/dev/null"
    assert docker("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", f"{script} || true") == ""
    assert baked.is_dir()


def test_the_password_is_nowhere(baked: Path) -> None:
    archive = baked / "image.tar"
    docker("save", "--output", str(archive), IMAGE)
    with tarfile.open(archive) as outer:
        for member in outer.getmembers():
            content = outer.extractfile(member) if member.isfile() else None
            assert content is None or PASSWORD.encode() not in plain(content.read())
    archive.unlink()
    for path in (baked / "build").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()
    assert PASSWORD not in (baked / "said.txt").read_text()


def test_the_layers_add_little_more_than_what_is_installed(baked: Path, lab: Lab) -> None:
    base = docker("image", "inspect", "--format", "{{len .RootFS.Layers}}", f"{lab.hub}/{BASE}")
    image = docker("image", "inspect", "--format", "{{len .RootFS.Layers}}", IMAGE)
    assert int(image) - int(base) == 4  # stack, wheels, patched files, models
    assert baked.is_dir()


def test_nothing_runs_again_without_a_change(lab: Lab, baked: Path) -> None:
    done = lab.generator("bake", *SHIPPED, folder=baked)
    assert done.returncode == 0
    for target in ("torch", "toolchain", "wheel-pytorch3d", "rebuild", "image"):
        found = [step for step in results.load(baked / "build").steps_of(target) if step.kind == "instruction"]
        assert {step.state for step in found} <= {"cached", "waiting"}  # waiting: not needed


def test_the_installer_is_taken_from_the_host_where_it_was_fetched(lab: Lab, tmp_path: Path) -> None:
    recipe = load_recipe("deepprep").recipe
    for name, url, path in (
        ("cuda-installer", RUNFILE, "nvidia/compute/cuda/12.8.0/local_installers/" + RUNFILE.rsplit("/", 1)[1]),
        ("pytorch3d", ARCHIVE, "github/facebookresearch/pytorch3d/archive/refs/tags/v0.7.9.tar.gz"),
    ):
        folder = asset_folder(tmp_path / "assets", name, url)
        folder.mkdir(parents=True)
        (folder / recipe.assets[name].file_name).write_bytes(lab.fetch(path))
    before = [path for path in lab.served() if path.endswith((".run", ".tar.gz"))]
    lab.write_site(tmp_path, assets='"assets"')
    done = lab.generator("bake", "wheel-pytorch3d", *SHIPPED, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path for path in lab.served() if path.endswith((".run", ".tar.gz"))] == before


def test_a_file_of_another_checksum_is_refused(lab: Lab, tmp_path: Path) -> None:
    folder = asset_folder(tmp_path / "assets", "cuda-installer", RUNFILE)
    folder.mkdir(parents=True)
    (folder / RUNFILE.rsplit("/", 1)[1]).write_bytes(b"half a file")
    lab.write_site(tmp_path, assets='"assets"')
    done = lab.generator("bake", "toolchain", *SHIPPED, folder=tmp_path)
    assert done.returncode == 1
    assert f"its SHA-256 is {hashlib.sha256(b'half a file').hexdigest()}" in done.stderr


def small(folder: Path, more: str = "") -> None:
    (folder / "small.toml").write_text(SMALL.format(tag=os.getpid(), base=BASE) + more)


def test_an_sdist_is_compiled_where_the_page_has_no_wheel_and_gets_the_local_version(lab: Lab, tmp_path: Path) -> None:
    small(
        tmp_path,
        """
[extensions.six]
source = "wheel"
version = "1.17.0"
fallback = "sdist"
sha256 = "ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81"
device-code = false
""",
    )
    lab.write_site(tmp_path)  # beside the recipe: found without being named
    done = lab.generator("-r", "small.toml", "bake", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "build/verify/report.json").read_text())["rows"]
    assert of(rows, "version")["six"]["found"] == "1.17.0+pt27cu128"
    docker("image", "rm", "--force", f"uplift-test-lab:{os.getpid()}", check=False)


def test_a_missing_prebuilt_wheel_without_fallback_names_what_there_is(lab: Lab, tmp_path: Path) -> None:
    small(tmp_path, '\n[extensions.pyg-lib]\nsource = "wheel"\nversion = "0.9.9"\n')
    lab.write_site(tmp_path)
    done = lab.generator("-r", "small.toml", "bake", "wheel-pyg-lib", folder=tmp_path)
    assert done.returncode == 1
    assert "no wheel of pyg-lib 0.9.9+pt27cu128 for this Python" in done.stderr
    assert "pyg_lib-0.5.0+pt27cu128" in done.stderr


def test_a_new_conflict_fails_the_verification(lab: Lab, tmp_path: Path) -> None:
    small(tmp_path, 'also = ["filelock==3.15.4"]\n')
    lab.write_site(tmp_path)
    done = lab.generator("-r", "small.toml", "bake", folder=tmp_path)
    assert done.returncode == 4
    assert "conflict nnunet: expected none that the base lacks" in done.stderr
    assert docker("image", "ls", "--quiet", f"uplift-test-lab:{os.getpid()}") == ""


def test_the_toolkit_of_a_devel_image_and_a_git_repository_in_one(lab: Lab, tmp_path: Path) -> None:
    devel = f"{lab.hub}/uplift-test/cuda-devel:12.8"  # where the mirror has what the recipe names
    (tmp_path / "devel").mkdir()
    (tmp_path / "devel/Dockerfile").write_text(
        f"FROM uplift-lab:{os.getpid()}\n"
        "RUN sh /srv/nvidia/compute/cuda/12.8.0/local_installers/*.run --silent --toolkit "
        "--toolkitpath=/usr/local/cuda-12.8 && ln -s cuda-12.8 /usr/local/cuda\n"
    )
    docker("buildx", "build", "--quiet", "--provenance=false", "-t", devel, str(tmp_path / "devel"))
    docker("push", "--quiet", devel)
    commit = serve_repository(lab, tmp_path)
    small(
        tmp_path,
        f"""
[toolkit]
source = "image"
image = "uplift-test/cuda-devel:12.8"

[extensions.pytorch3d]
source = "git"
url = "https://github.com/lab/pytorch3d.git"
commit = "{commit}"
version = "0.7.9"
env = {{ FORCE_CUDA = "1" }}
""",
    )
    text = (tmp_path / "small.toml").read_text().replace(', "pytorch3d", "torch-geometric"', ', "torch-geometric"')
    (tmp_path / "small.toml").write_text(text)
    lab.write_site(tmp_path)
    try:
        done = lab.generator("-r", "small.toml", "bake", folder=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        rows = json.loads((tmp_path / "build/verify/report.json").read_text())["rows"]
        assert of(rows, "sass")["pytorch3d"]["found"] == "sm_80 sm_86 sm_90 sm_120"
    finally:
        docker("image", "rm", "--force", devel, f"uplift-test-lab:{os.getpid()}", check=False)


def serve_repository(lab: Lab, folder: Path) -> str:
    """Put a repository of the stand-in for PyTorch3D on the mirror; returns its commit."""
    source = folder / "repository"
    unpack(lab.fetch("github/facebookresearch/pytorch3d/archive/refs/tags/v0.7.9.tar.gz"), source)
    work = source / "pytorch3d-0.7.9"

    def git(*command: str, at: Path = work) -> str:
        identity = ["-c", "user.name=lab", "-c", "user.email=lab@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *identity, *command], cwd=at, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "0.7.9")
    git("clone", "--quiet", "--bare", ".", str(folder / "pytorch3d.git"))
    git("update-server-info", at=folder / "pytorch3d.git")
    docker("exec", lab.mirror, "mkdir", "-p", "/srv/github/lab")
    docker("cp", str(folder / "pytorch3d.git"), f"{lab.mirror}:/srv/github/lab/pytorch3d.git")
    return git("rev-parse", "HEAD").strip()


def test_a_third_stack_is_a_file_beside_the_recipe(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/six-only.toml").write_text(
        '[stack]\ncuda = "13.0"\narchs = ["12.0"]\ninstall = ["six==1.17.0"]\n'
    )
    small(tmp_path)
    text = re.sub(r"(?s)\[stack\].*", '[stack]\nfrom = "six-only"\n', (tmp_path / "small.toml").read_text())
    (tmp_path / "small.toml").write_text(text)
    lab.write_site(tmp_path)
    done = lab.generator("-r", "small.toml", "bake", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    docker("image", "rm", "--force", f"uplift-test-lab:{os.getpid()}", check=False)
