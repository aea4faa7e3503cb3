from __future__ import annotations

import configparser
import io
import tarfile
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import load

COMMIT = "33824be3cbc87a7dd1db0f6a9a9de9ac81b2d0ba"

source_tree = load("wheel/source_tree.py")


def archive(folder: Path, commit: str | None) -> Path:
    folder.mkdir()
    headers = {"comment": commit} if commit else {}
    with tarfile.open(folder / "x.tar.gz", "w:gz", format=tarfile.PAX_FORMAT, pax_headers=headers) as packed:
        entry = tarfile.TarInfo("x-1/setup.py")
        packed.addfile(entry, io.BytesIO())
    return folder


def test_an_archive_of_the_commit_is_unpacked(tmp_path: Path) -> None:
    assert source_tree.unpack(archive(tmp_path / "s", COMMIT), tmp_path / "work", commit=COMMIT).name == "x-1"


@pytest.mark.parametrize("said", [None, "0" * 40])
def test_an_archive_of_another_commit_is_refused(tmp_path: Path, said: str | None) -> None:
    with pytest.raises(SystemExit, match="the recipe asks for 33824be"):
        source_tree.unpack(archive(tmp_path / "s", said), tmp_path / "work", commit=COMMIT)


def test_a_tree_is_copied(tmp_path: Path) -> None:
    (tmp_path / "s/tree").mkdir(parents=True)
    (tmp_path / "s/tree/setup.py").touch()
    assert (source_tree.unpack(tmp_path / "s", tmp_path / "work") / "setup.py").is_file()


def test_the_local_version_joins_what_setup_cfg_says(tmp_path: Path) -> None:
    (tmp_path / "setup.cfg").write_text(
        "[metadata]\nlong_description = 100% x\n[egg_info]\ntag_build = \ntag_date = 0\n"
    )
    source_tree.mark_local(tmp_path, "pt27cu128")
    found = configparser.ConfigParser(interpolation=None)
    found.read(tmp_path / "setup.cfg")
    assert found["egg_info"]["tag_build"] == "+pt27cu128"
    assert found["metadata"]["long_description"] == "100% x"
