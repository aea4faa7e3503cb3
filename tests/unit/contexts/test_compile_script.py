from __future__ import annotations

import configparser
import importlib.util
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

COMMIT = "33824be3cbc87a7dd1db0f6a9a9de9ac81b2d0ba"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    path = Path(__file__).parents[3] / "contexts/wheel/compile.py"
    spec = importlib.util.spec_from_file_location("compile_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "WORK", tmp_path / "work")
    return module


def archive(folder: Path, commit: str | None) -> Path:
    folder.mkdir()
    headers = {"comment": commit} if commit else {}
    with tarfile.open(folder / "x.tar.gz", "w:gz", format=tarfile.PAX_FORMAT, pax_headers=headers) as packed:
        entry = tarfile.TarInfo("x-1/setup.py")
        packed.addfile(entry, io.BytesIO())
    return folder


def test_an_archive_of_the_commit_is_unpacked(script: Any, tmp_path: Path) -> None:
    assert script.unpack(archive(tmp_path / "s", COMMIT), commit=COMMIT).name == "x-1"


@pytest.mark.parametrize("said", [None, "0" * 40])
def test_an_archive_of_another_commit_is_refused(script: Any, tmp_path: Path, said: str | None) -> None:
    with pytest.raises(SystemExit, match="the recipe asks for 33824be"):
        script.unpack(archive(tmp_path / "s", said), commit=COMMIT)


def test_a_tree_is_copied(script: Any, tmp_path: Path) -> None:
    (tmp_path / "s/tree").mkdir(parents=True)
    (tmp_path / "s/tree/setup.py").touch()
    assert (script.unpack(tmp_path / "s") / "setup.py").is_file()


def test_the_local_version_joins_what_setup_cfg_says(script: Any, tmp_path: Path) -> None:
    (tmp_path / "setup.cfg").write_text(
        "[metadata]\nlong_description = 100% x\n[egg_info]\ntag_build = \ntag_date = 0\n"
    )
    script.mark_local(tmp_path, "pt27cu128")
    found = configparser.ConfigParser(interpolation=None)
    found.read(tmp_path / "setup.cfg")
    assert found["egg_info"]["tag_build"] == "+pt27cu128"
    assert found["metadata"]["long_description"] == "100% x"
