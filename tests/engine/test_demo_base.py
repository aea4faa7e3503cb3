"""The demo's base image is what the uplift needs it to be: it works, it has its traps, and nothing else is in it.

Proves that the stand-in is what it is said to be; nothing of DeepPrep.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.demo_base import TAG

pytestmark = pytest.mark.engine

CHECKS = Path(__file__).with_name("demo_base_checks.py")
MODELS = "/opt/model/SUGAR/model_files"
VERTICES = {"fsaverage3": 642, "fsaverage4": 2562}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the checks found inside the image; they run as a build step, which leaves no second copy of the image."""
    there = subprocess.run(["docker", "image", "inspect", TAG], capture_output=True, check=False)
    assert there.returncode == 0, f"there is no image {TAG}: run `make demo-base` first"
    folder = tmp_path_factory.mktemp("checks")
    (folder / CHECKS.name).write_bytes(CHECKS.read_bytes())
    (folder / "Dockerfile").write_text(
        f"FROM {TAG} AS check\n"
        f"RUN --network=none --mount=type=bind,source={CHECKS.name},target=/checks.py python /checks.py /found.json\n"
        "FROM scratch\nCOPY --from=check /found.json /\n"
    )
    command = ["docker", "buildx", "build", "--progress=plain", f"--output=type=local,dest={folder / 'out'}"]
    built = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-4000:]
    return json.loads((folder / "out" / "found.json").read_text())


def test_the_versions_are_of_the_old_stack(found: Any) -> None:
    versions = found["versions"]
    assert versions["python"].startswith("3.11.")
    assert versions["torch"] == "2.0.1+cu117"
    assert versions["torch-geometric"] == "2.3.1"
    assert versions["numpy"] == "1.26.4"
    assert versions["pytorch3d"] == "0.7.4"
    assert versions["torch-scatter"] == "2.1.2"
    assert versions["torch-spline-conv"] == "1.2.2"


def test_all_models_load_and_predict(found: Any) -> None:
    models = found["models"]
    assert len(models) >= 4
    assert {model["rigid"] for model in models.values()} == {True, False}
    for path, model in models.items():
        assert path.startswith(MODELS)
        assert model["class"] == "gatunet_model.GatUNet"
        assert model["keys"] == ["epoch", "history", "model"]
        vertices = VERTICES[Path(path).parent.name]
        assert model["moved"] == [vertices, 3]
        assert model["euler"] == [1 if model["rigid"] else vertices, 3]
        assert 0 < model["largest_angle"] <= model["euler_scale"]
        assert model["devices"] == ["cpu"]


def test_index_tensors_are_plain_attributes_several_to_an_entry(found: Any) -> None:
    for model in found["models"].values():
        assert model["index_tensors"] >= 5
        assert model["entries"] == ["tuple"]
        assert not [name for name in model["state"] if re.match(r"(edges|between|theta_phi|p_e)", name)]


def test_no_constructor_argument_can_be_read_off_that_the_real_class_does_not_keep(found: Any) -> None:
    for model in found["models"].values():
        assert model["kept"] == []
        assert model["made_in_forward"] == ["p_e", "theta_phi"]
        assert {"edge_e", "pe"} <= set(model["modules"])
        assert model["function"] == "leaky_relu"


def test_the_pickles_hold_what_the_new_library_lacks(found: Any) -> None:
    assert all(model["names_lazy_load_hook"] for model in found["models"].values())


def test_construction_as_the_source_says_it_needs_a_gpu(found: Any) -> None:
    assert found["construction"].startswith("RuntimeError")
    assert "NVIDIA" in found["construction"]


def test_the_conflicts_are_the_known_ones(found: Any) -> None:
    assert sorted(found["conflicts"]) == [
        "etelemetry 0.3.1 has requirement ci-info>=0.2, but you have ci-info 0.1.1.",
        "triton 2.0.0 requires cmake, which is not installed.",
    ]


def test_no_compiler(found: Any) -> None:
    assert found["compilers"] == []


def test_no_cache_and_no_leftover(found: Any) -> None:
    assert found["leftovers"] == []


def test_no_private_ca(found: Any) -> None:
    """Every CA of the image is one that the distribution ships."""
    assert found["foreign_cas"] == []


def test_history_has_no_secret_and_no_large_surprise() -> None:
    answer = subprocess.run(
        ["docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", TAG],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "BEGIN CERTIFICATE" not in answer.stdout
    size = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", TAG], capture_output=True, text=True, check=True
    )
    assert int(size.stdout) < 1.5e9, "compressed layers"
