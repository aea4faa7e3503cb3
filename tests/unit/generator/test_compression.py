"""One form of compression everywhere."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from generator.baking.archive import Archive, ArchiveFormat
from generator.baking.delivery import Push
from generator.compression import FORM
from generator.plan import build_graph
from generator.recipe import load_recipe
from generator.render import BAKE_FILE, render

TOP = Path(__file__).parents[3]


@pytest.mark.parametrize("recipe", ["demo", "deepprep", "deepprep-cu130"])
def test_images_and_caches_have_one_form_and_force_it_on_no_layer(recipe: str) -> None:
    loaded = load_recipe(recipe)
    rendered = render(build_graph(loaded.recipe, origin=loaded.origin))[PurePosixPath(BAKE_FILE)].decode()
    assert re.findall(r"compression=[^\"]*?(?=,ignore|\")", rendered) == [FORM, FORM]
    assert Push.overrides["image.output"].endswith(FORM)
    assert "force-compression" not in rendered + FORM


def test_an_oci_archive_has_it_too(tmp_path: Path) -> None:
    archive = Archive(form=ArchiveFormat.OCI, path=tmp_path / "x.tar")
    assert archive.exporter(tmp_path / "part") == f"type=oci,{FORM},dest={tmp_path / 'part'}"
