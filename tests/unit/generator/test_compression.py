"""One form of compression everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from generator.baking import publish
from generator.baking.archive import Archive, ArchiveFormat
from generator.compression import FORM

TOP = Path(__file__).parents[3]


@pytest.mark.parametrize("recipe", ["demo", "deepprep", "deepprep-cu130"])
def test_images_and_caches_have_one_form_and_force_it_on_no_layer(recipe: str) -> None:
    rendered = (TOP / "tests/golden" / recipe / "docker-bake.hcl").read_text()
    assert re.findall(r"compression=[^\"]*?(?=,ignore|\")", rendered) == [FORM, FORM]
    assert publish.UNNAMED["image.output"].endswith(FORM)
    assert "force-compression" not in rendered + FORM


def test_an_oci_archive_has_it_too(tmp_path: Path) -> None:
    archive = Archive(form=ArchiveFormat.OCI, path=tmp_path / "x.tar")
    assert archive.exporter(tmp_path / "part") == f"type=oci,{FORM},dest={tmp_path / 'part'}"
