"""The recipe `deepprep`, baked through a mirror with a password, on a stand-in base; what can differ from it.

Proves the packaging. The stand-ins keep names, tags, layout and device code of the real files (see ``lab/README.md``);
their torch is no torch, so what is proven here is the recipe's path through mirrors, toolkits, packages and patches, up
to the image. Of the recipe its models go, which no stand-in can carry over, and the names of both images are the tests'
own. Models and checks are proven on real torch by the demo, by test_migration.py and by `make real`.
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

import pytest

from bake.buildx import results
from generator.recipe import load_recipe
from generator.resolve.assets import asset_folder
from tests.engine.mirror import ARCHIVE, BASE, PASSWORD, RUNFILE, Lab, docker
from tests.engine.small import TOP, plain, unpack

pytestmark = pytest.mark.engine

IMAGE = f"uplift-test-deepprep:{os.getpid()}"
UNVERIFIED = "tests.engine.unverified"  # of the stand-ins an image has no name else
BAKE = ("-r", "deepprep.toml", "bake")
SMALL_BAKE = ("-r", "small.toml", "bake", "--site", "site.toml")
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


def shipped(folder: Path) -> None:
    """Write the recipe as it ships, without its models."""
    text = (TOP / "generator/recipes/deepprep.toml").read_text()
    (folder / "deepprep.toml").write_text(re.sub(r"(?ms)^\[(models\.|verify\]).*?(?=^\[)", "", text))


@pytest.fixture(scope="module")
def baked(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one bake of the recipe's image, with a site file and names of its own."""
    folder = tmp_path_factory.mktemp("deepprep")
    lab.write_site(folder)
    shipped(folder)
    done = lab.generator(*BAKE, "image", *SHIPPED, folder=folder, module=UNVERIFIED)
    assert done.returncode == 0, done.stderr[-6000:]
    (folder / "said.txt").write_text(done.stdout + done.stderr)
    yield folder
    docker("image", "rm", "--force", IMAGE, check=False)


def in_image(image: str, script: str) -> str:
    return docker("run", "--rm", "--entrypoint", "/opt/conda/envs/deepprep/bin/python", image, "-c", script)


def versions(image: str, *names: str) -> dict[str, str]:
    """The versions of packages in an image, as their metadata say."""
    script = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    found: dict[str, str] = json.loads(in_image(image, script))
    return found


def test_every_version_of_the_guides_table_with_its_local_part(baked: Path) -> None:
    assert baked.is_dir()
    assert versions(IMAGE, *GUIDE) == GUIDE


def test_the_pipelines_calls_are_patched(baked: Path) -> None:
    assert baked.is_dir()
    script = "grep -rhc 'weights_only=False' /opt/DeepPrep --include=*.py | sort | uniq -c | awk '{print $1, $2}'"
    found = docker("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", script)
    assert "1 2" in found
    assert "1 1" in found


def test_the_rest_of_the_environment_stays(baked: Path) -> None:
    assert baked.is_dir()
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
    assert int(image) - int(base) == 4  # stack, wheels, patched files, what keeps TensorFlow off new cards
    assert baked.is_dir()


def test_nothing_runs_again_without_a_change(lab: Lab, baked: Path) -> None:
    done = lab.generator(*BAKE, "image", *SHIPPED, folder=baked, module=UNVERIFIED)
    assert done.returncode == 0
    for target in ("torch", "toolchain", "wheel-pytorch3d", "image"):
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
    lab.write_site(tmp_path)
    done = lab.generator(*SMALL_BAKE, "image", folder=tmp_path, module=UNVERIFIED)
    assert done.returncode == 0, done.stderr[-3000:]
    assert versions(f"uplift-test-lab:{os.getpid()}", "six") == {"six": "1.17.0+pt27cu128"}
    docker("image", "rm", "--force", f"uplift-test-lab:{os.getpid()}", check=False)


def test_a_missing_prebuilt_wheel_without_fallback_names_what_there_is(lab: Lab, tmp_path: Path) -> None:
    small(tmp_path, '\n[extensions.pyg-lib]\nsource = "wheel"\nversion = "0.9.9"\n')
    lab.write_site(tmp_path)
    done = lab.generator(*SMALL_BAKE, "wheel-pyg-lib", folder=tmp_path)
    assert done.returncode == 1
    assert "no wheel of pyg-lib 0.9.9+pt27cu128 for this Python" in done.stderr
    assert "pyg_lib-0.5.0+pt27cu128" in done.stderr


def test_a_new_conflict_fails_the_verification(lab: Lab, tmp_path: Path) -> None:
    small(tmp_path, 'also = ["filelock==3.15.4"]\n')
    lab.write_site(tmp_path)
    done = lab.generator(*SMALL_BAKE, folder=tmp_path)
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
        done = lab.generator(*SMALL_BAKE, "image", folder=tmp_path, module=UNVERIFIED)
        assert done.returncode == 0, done.stderr[-3000:]
        assert versions(f"uplift-test-lab:{os.getpid()}", "pytorch3d") == {"pytorch3d": "0.7.9"}
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
    done = lab.generator(*SMALL_BAKE, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    docker("image", "rm", "--force", f"uplift-test-lab:{os.getpid()}", check=False)
