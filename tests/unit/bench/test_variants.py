from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bake.errors import UsageError
from generator.recipe import load_recipe
from tests.bench import variants


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"x-1/{name.replace('_', '.')}")
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def read(content: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        return {entry.name: packed.extractfile(entry).read().decode() for entry in packed.getmembers()}  # type: ignore[union-attr]


def test_one_source_gets_another_line_of_code_and_nothing_else_changes() -> None:
    original = archive(b_cu="int b;\n", a_cu="int a;\n", m_cpp="int m;\n")
    content, name = variants.change_one_source(original)
    assert name == "x-1/a.cu"
    before, after = read(original), read(content)
    assert after.pop(name).startswith(before.pop(name) + "\nnamespace {")
    assert after == before


def test_an_archive_without_such_a_source_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no \.cu file"):
        variants.change_one_source(archive(m_cpp=""))


def test_the_recipe_with_an_archive_is_valid_and_differs_in_the_source_alone(tmp_path: Path) -> None:
    file = tmp_path / "changed.toml"
    file.write_text(
        variants.with_archive(variants.recipe_text("demo"), "torch-scatter", "torch_scatter.tar.gz", "a" * 64)
    )
    made, known = load_recipe(str(file)).recipe, load_recipe("demo").recipe
    changed = made.extensions["torch-scatter"]
    assert (changed.source, changed.asset_name) == ("archive", "bench-torch-scatter")
    assert changed.env == known.extensions["torch-scatter"].env
    assert made.assets["bench-torch-scatter"].sha256 == "a" * 64
    assert made.model_copy(update={"extensions": {}, "assets": {}}) == known.model_copy(update={"extensions": {}})
    assert made.extensions["torch-spline-conv"] == known.extensions["torch-spline-conv"]


def test_the_recipe_with_another_torch_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "torch.toml"
    file.write_text(variants.with_torch(variants.recipe_text("demo"), *variants.OTHER_TORCH))
    stack = load_recipe(str(file)).recipe.stack
    assert "torch==2.12.0" in stack.install
    assert stack.expect == {"torch": "2.12.0+cu130"}
    with pytest.raises(UsageError, match="doesn't install torch"):
        variants.with_torch(variants.recipe_text("deepprep"), *variants.OTHER_TORCH)


def test_the_copy_of_the_repository_has_another_module_that_still_runs(tmp_path: Path) -> None:
    copy = variants.repository(tmp_path, "sign")
    original = (variants.TOP / variants.CHANGED_MODULE).read_text()
    changed = (copy / variants.CHANGED_MODULE).read_text()
    assert changed != original
    assert changed.replace("CHANGED = 'sign'\n\n\n", "") == original
    compile(changed, variants.CHANGED_MODULE, "exec")
    assert (copy / "docker-bake.hcl.j2").is_file()
    assert (variants.TOP / variants.CHANGED_MODULE).read_text() == original
