"""The verified image as a file: loaded back, checked blob by blob, and made a SIF image by the real Apptainer.

Proves the thing: the archive is read by the engine and by Apptainer.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.demo_rootfs import Machine, rootfs_for
from tests.engine.small import unpack

pytestmark = pytest.mark.engine

TOP = Path(__file__).parents[2]
TAG = "uplift-test-saved:1"
BASE_TAG = "uplift-test-saving-base:1"
BASE = """\
ARG ROOTFS
FROM ${ROOTFS}
RUN [ -e /usr/lib/python3.11/ensurepip ] || (apt-get update && apt-get install --yes python3 python3-venv)
RUN python3 -m venv /opt/env && mkdir /opt/app
RUN printf 'import torch\\nmodel = torch.load(open("x", "rb"))\\n' > /opt/app/load.py
"""
RECIPE = f"""\
schema = 2
name = "saved"
summary = "A recipe without torch, for tests"

[image]
tag = "{TAG}"

[base]
image = "{BASE_TAG}"
prefix = "/opt/env"

[stack]
cuda = "13.0"
archs = ["12.0"]
install = ["six==1.17.0"]

[patch]
roots = ["/opt/app"]
"""
# Apptainer is in no release of Debian; its package of unstable, and what it needs, go into a throw-away image.
APPTAINER = """\
ARG ROOTFS
FROM ${ROOTFS}
RUN sed -n 's/^URIs: //p;s/^deb \\(\\[[^]]*\\] \\)\\?\\([^ ]*\\) .*/\\2/p' \\
        /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2> /dev/null | head -n 1 > /mirror \\
    && echo "deb $(cat /mirror) sid main" > /etc/apt/sources.list.d/sid.list \\
    && printf 'Package: *\\nPin: release a=unstable\\nPin-Priority: 50\\n' > /etc/apt/preferences.d/sid \\
    && apt-get --option Acquire::Check-Valid-Until=false update \\
    && apt-get install --yes --no-install-recommends --target-release unstable apptainer
RUN useradd --create-home reader
"""
# What a user namespace inside a container needs.
CONTAINER = [
    "--cap-add=SYS_ADMIN",
    *(f"--security-opt={name}=unconfined" for name in ("seccomp", "apparmor", "systempaths")),
]


def docker(*command: str, check: bool = True) -> str:
    return subprocess.run(["docker", *command], check=check, capture_output=True, text=True).stdout.strip()


def built(folder: Path, dockerfile: str, tag: str) -> str:
    rootfs = rootfs_for(Machine(say=print), force=False)
    (folder / "Dockerfile").write_text(dockerfile)
    docker("buildx", "build", "--provenance=false", f"--build-arg=ROOTFS={rootfs}", "-t", tag, str(folder))
    return tag


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run ``bake`` with a recipe of the test's own; where it writes is outside of the folder it runs in."""
    base = built(tmp_path_factory.mktemp("base"), BASE, BASE_TAG)
    folder = tmp_path_factory.mktemp("run")

    def run(*arguments: str, recipe: str = RECIPE) -> subprocess.CompletedProcess[str]:
        (folder / "saved.toml").write_text(recipe)
        return subprocess.run(
            [sys.executable, "-m", "generator", "-r", "saved.toml", "bake", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(TOP)},
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    docker("image", "rm", "--force", base, TAG, check=False)


@pytest.fixture(scope="module")
def archives(saved: Any) -> Iterator[dict[str, Path]]:
    # Outside /tmp, which buildx always lets a build write to.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)  # Apptainer reads there as another user
        paths = {form: Path(folder) / f"{form}.tar" for form in ("oci-archive", "docker-archive")}
        for form, path in paths.items():
            done = saved("--output", form, str(path))
            assert done.returncode == 0, done.stderr
            assert done.stdout == f"{path}\n"
            assert f"apptainer build image.sif {form}:{path.name}" in done.stderr
        assert sorted(entry.name for entry in Path(folder).iterdir()) == sorted(path.name for path in paths.values())
        yield paths


def blobs(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {
            member.name: content.read()
            for member in tar.getmembers()
            if member.isfile() and (content := tar.extractfile(member)) is not None
        }


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_every_digest_holds(archives: dict[str, Path], form: str) -> None:
    files = blobs(archives[form])
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(files["index.json"])["manifests"]
    wanted = [entry]
    manifest = json.loads(files[f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"])
    wanted += [manifest["config"], *manifest["layers"]]
    for descriptor in wanted:
        blob = files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
        assert len(blob) == descriptor["size"]
        assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == descriptor["digest"]
    assert len([name for name in files if name.startswith("blobs/")]) == len({item["digest"] for item in wanted})
    assert entry["annotations"]["io.containerd.image.name"] == f"docker.io/library/{TAG}"


def test_a_docker_archive_holds_plain_tar_layers(archives: dict[str, Path]) -> None:
    files = blobs(archives["docker-archive"])
    (image,) = json.loads(files["manifest.json"])
    assert image["RepoTags"] == [TAG]
    diff_ids = json.loads(files[image["Config"]])["rootfs"]["diff_ids"]
    assert [f"sha256:{hashlib.sha256(files[layer]).hexdigest()}" for layer in image["Layers"]] == diff_ids


def test_docker_loads_it_back(archives: dict[str, Path]) -> None:
    docker("image", "rm", "--force", TAG, check=False)
    assert TAG in docker("load", "--input", str(archives["docker-archive"]))
    found = docker(
        "run", "--rm", "--entrypoint", "/opt/env/bin/python", TAG, "-c", "import six; print(six.__version__)"
    )
    assert found == "1.17.0"


def test_buildkit_reads_the_oci_archive(archives: dict[str, Path], tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    unpack(archives["oci-archive"].read_bytes(), layout)
    (tmp_path / "Dockerfile").write_text("FROM saved\nRUN grep weights_only=False /opt/app/load.py\n")
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    context = f"--build-context=saved=oci-layout://{layout}@{digest}"
    docker("buildx", "build", context, "--output=type=cacheonly", str(tmp_path))


@pytest.fixture(scope="module")
def apptainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    image = built(tmp_path_factory.mktemp("apptainer"), APPTAINER, "uplift-test-apptainer:1")

    def run(folder: Path, command: str) -> str:
        return docker(
            "run", "--rm", *CONTAINER, "--volume", f"{folder}:/work", "--workdir=/work", image, "sh", "-ec", command
        )

    yield run
    docker("image", "rm", "--force", image)


@pytest.mark.parametrize("form", [pytest.param("docker-archive", marks=pytest.mark.heavy), "oci-archive"])
def test_apptainer_makes_a_sif_image_of_it_and_runs_it(archives: dict[str, Path], apptainer: Any, form: str) -> None:
    archive = archives[form]
    apptainer(archive.parent, f"apptainer build {form}.sif {form}:{archive.name}")
    sif = archive.parent / f"{form}.sif"
    try:
        assert sif.read_bytes()[32:41] == b"SIF_MAGIC"
        python = f"apptainer exec --userns --unsquash {sif.name} /opt/env/bin/python"
        said = apptainer(archive.parent, f"su reader -c '{python} -c \"import six; print(six.__version__)\"'")
        assert said == "1.17.0"
    finally:
        sif.unlink()


def test_an_image_that_failed_a_check_is_not_saved(saved: Any, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_text("old")
    done = saved("--output", "oci-archive", str(path), recipe=RECIPE + '[stack.expect]\nsix = "1.17.0+other"\n')
    assert done.returncode == 4
    assert "version six: expected 1.17.0+other, found 1.17.0" in done.stderr
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.tar"]


def test_targets_beside_it_are_refused(saved: Any, tmp_path: Path) -> None:
    done = saved("torch", "--output", "oci-archive", str(tmp_path / "image.tar"))
    assert done.returncode == 2
    assert "name no targets beside it" in done.stderr
