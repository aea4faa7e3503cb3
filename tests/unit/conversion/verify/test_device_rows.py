"""What of an image serves the asked cards. The libraries are made here; no driver and no card takes part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conversion.environment.inventory import Inventory
from conversion.verify import device_rows
from conversion.verify.device_files import holders
from conversion.verify.rows import Row

SITE = "opt/env/lib/python3.10/site-packages"
ARCHS = ["8.6", "9.0", "12.0"]
CPU = {"action": "cpu", "up_to": "9.0", "reason": "fails on Blackwell"}


@pytest.fixture
def image(tmp_path: Path, library: Any) -> Path:
    """An image with TensorFlow and torch in its environment, a toolkit, and a program."""
    add(tmp_path, library, "tensorflow-2.11.1", "tensorflow/_internal.so", "35 80", "80")
    add(tmp_path, library, "torch-2.11.0", "torch/lib/libtorch_cuda.so", "80 90 120")
    library.write(tmp_path / "usr/local/cuda-11.8/lib64/libcublas.so.11.1", "80 90")
    (tmp_path / "usr/local/cuda-11.8/lib64/libcublas.so.11").symlink_to("libcublas.so.11.1")
    library.write(tmp_path / "opt/fsl/bin/eddy_cuda", "35")
    library.write(tmp_path / "opt/data/not_on_path", "35")
    library.write(tmp_path / SITE / "numpy/core.so")
    return tmp_path


def add(root: Path, library: Any, package: str, file: str, sass: str, ptx: str = "") -> None:
    library.write(root / SITE / file, sass, ptx)
    record = root / SITE / f"{package}.dist-info" / "RECORD"
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("a", encoding="utf-8") as lines:
        lines.write(f"{file},sha256=x,1\n")


@pytest.fixture
def rows(image: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The rows by the first word of their subject."""
    monkeypatch.setenv("PATH", "/opt/fsl/bin")
    monkeypatch.setattr(device_rows, "hook_rows", lambda _python, _rules: [])

    def run(base: dict[str, str] | None = None, **spec: Any) -> dict[str, Row]:
        spec = {"prefix": "/opt/env", "versions": {"torch": "2.11.0"}, "extensions": [], **spec}
        found = device_rows.device_rows(spec, ARCHS, Inventory("3.10", base or {}), root=str(image))
        return {row.subject.split()[0]: row for row in found}

    return run


def test_every_file_with_device_code_is_found_once_with_its_package(image: Path) -> None:
    found = {(holder.name, holder.version): sorted(holder.code) for holder in holders(str(image), "/opt/fsl/bin:bin")}
    assert found == {
        ("tensorflow", "2.11.1"): ["tensorflow/_internal.so"],
        ("torch", "2.11.0"): ["torch/lib/libtorch_cuda.so"],
        ("/usr/local/cuda-11.8/lib64", ""): ["libcublas.so.11.1"],
        ("/opt/fsl/bin", ""): ["eddy_cuda"],
    }


def test_a_file_of_two_names_counts_once(image: Path) -> None:
    os.link(image / "opt/fsl/bin/eddy_cuda", image / "opt/fsl/bin/eddy_cuda10")
    (holder,) = [holder for holder in holders(str(image), "/opt/fsl/bin") if holder.name == "/opt/fsl/bin"]
    assert list(holder.code) == ["eddy_cuda"]


def test_packages_of_conda(image: Path, library: Any) -> None:
    library.write(image / "opt/env/lib/libfoo.so.1", "80")
    meta = image / "opt/env/conda-meta/Foo-1.2-0.json"
    meta.parent.mkdir()
    meta.write_text(json.dumps({"name": "Foo", "version": "1.2", "files": ["lib/libfoo.so.1"]}))
    (meta.parent / "broken.json").write_text('{"files": 3}')
    assert ("foo", "1.2", "/opt/env") in [(h.name, h.version, h.home) for h in holders(str(image), "")]


def test_what_the_base_brought_along_informs_in_a_clear_sentence(rows: Any) -> None:
    found = rows(base={"tensorflow": "2.11.1"})
    assert (found["torch"].status, found["tensorflow"].status) == ("pass", "info")
    assert found["tensorflow"].found == "sm_35 sm_80, PTX sm_80"
    assert "only PTX for 9.0, 12.0, which a driver may compile at the first start" in found["tensorflow"].detail
    assert "no code for 12.0" in found["/usr/local/cuda-11.8/lib64"].detail
    assert found["/opt/fsl/bin"].status == "info"


def test_what_the_recipe_installs_must_be_served(rows: Any, image: Path, library: Any) -> None:
    library.write(image / SITE / "torch/lib/libtorch_cuda.so", "80 90")
    failed = rows()["torch"]
    assert (failed.status, failed.expected) == ("fail", "sm_86 sm_90 sm_120")
    assert failed.detail.startswith("no code for 12.0 (in /opt/env")
    assert "say why not in [device.torch]" in failed.detail
    told = rows(device={"torch": {"action": "inform", "reason": "nobody runs it"}})["torch"]
    assert (told.status, "the recipe: nobody runs it" in told.detail) == ("info", True)


def test_an_extension_has_its_row_elsewhere(rows: Any) -> None:
    assert "tensorflow" not in rows(extensions=["tensorflow"])


def test_a_package_whose_steps_run_on_the_cpu(rows: Any, image: Path, library: Any) -> None:
    told = rows(device={"tensorflow": CPU})["tensorflow"]
    assert told.status == "info"
    assert told.detail.startswith("runs on the CPU where the card is of compute capability 12.0; only PTX for 9.0")
    assert told.detail.endswith("the recipe: fails on Blackwell")
    library.write(image / SITE / "tensorflow/_internal.so", "35 80")  # nothing for 9.0, which it is said to serve
    assert rows(device={"tensorflow": CPU})["tensorflow"].status == "fail"


def test_a_package_that_is_replaced_must_be_another_and_serve(rows: Any, image: Path, library: Any) -> None:
    replaced = {"tensorflow": {"action": "replaced", "reason": "a newer build"}}
    assert rows(device=replaced)["tensorflow"].status == "fail"
    library.write(image / SITE / "tensorflow/_internal.so", "80 90 120")
    assert rows(base={"tensorflow": "2.10"}, device=replaced)["tensorflow"].status == "pass"
    kept = rows(base={"tensorflow": "2.11.1"}, device=replaced)["tensorflow"]
    assert (kept.status, "it is the base's" in kept.detail) == ("fail", True)


def test_a_folder_has_a_rule_too(rows: Any) -> None:
    assert rows(device={"/opt/fsl": {"action": "fail", "reason": "eddy is used"}})["/opt/fsl/bin"].status == "fail"
    assert rows(device={"/opt/fs": {"action": "fail", "reason": "x"}})["/opt/fs"].found == "no device code"


def test_a_rule_for_what_is_not_there_is_told(rows: Any) -> None:
    row = rows(device={"tensorflw": CPU})["tensorflw"]
    assert (row.status, row.found) == ("info", "no device code")
    assert "[device.tensorflw] of the recipe changes nothing here" in row.detail
    replaced = rows(device={"jax": {"action": "replaced", "reason": "a newer build"}})["jax"]
    assert (replaced.status, replaced.found) == ("fail", "no device code")


def test_a_file_that_cannot_be_read_is_told(rows: Any, image: Path, library: Any) -> None:
    (image / SITE / "torch/lib/libtorch_cuda.so").write_bytes(library.elf({".nv_fatbin": b"\1" * 64}))
    row = rows()["torch"]
    assert row.status == "fail"
    assert "libtorch_cuda.so" in row.detail
    assert "no fat binary at byte" in row.detail


def test_the_hook_is_asked_of_a_fresh_interpreter(tmp_path: Path) -> None:
    env = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
    python = str(env / "bin" / "python")
    (row,) = device_rows.hook_rows(python, {"tensorflow": CPU})
    assert (row.status, row.found) == ("fail", "nothing holds it back")
    (site,) = (env / "lib").glob("python3*/site-packages")
    hook = Path(__file__).parents[4] / "contexts/image/image_uplift_device.py"
    (site / hook.name).write_bytes(hook.read_bytes())
    (site / "x.pth").write_text('import image_uplift_device as d; d.install({"tensorflow": {"up_to": "9.0"}})\n')
    (row,) = device_rows.hook_rows(python, {"tensorflow": CPU})
    assert (row.status, row.found) == ("pass", "held back on cards later than 9.0")
