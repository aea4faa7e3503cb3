"""Files that a build left: what is read of them, and that nothing is written or removed through a link."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bake import untrusted


def linked(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def fifo(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, _victim: Path) -> None:
    path.mkdir()


def large(path: Path, _victim: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2048)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("mine")
    return path


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "verify"
    path.mkdir()
    return path


@pytest.mark.parametrize("plant", [linked, fifo, folder, large])
def test_only_a_regular_file_within_the_bound_is_read(
    exported: Path, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    plant(exported / "report.json", victim)
    with pytest.raises(OSError, match=r"report\.json"):
        untrusted.read(exported, "report.json", limit=1024)


def test_a_file_is_read_and_a_linked_folder_is_not(exported: Path, tmp_path: Path) -> None:
    (exported / "report.json").write_text("{}")
    assert untrusted.read(exported, "report.json") == b"{}"
    (tmp_path / "other").symlink_to(exported)
    with pytest.raises(OSError, match="other"):
        untrusted.read(tmp_path / "other", "report.json")


@pytest.mark.parametrize("plant", [linked, fifo, large])
def test_a_file_takes_the_place_of_what_lies_there(
    exported: Path, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    plant(exported / "junit.xml", victim)
    untrusted.write(exported, "junit.xml", "<xml/>")
    assert (exported / "junit.xml").read_text() == "<xml/>"
    assert not (exported / "junit.xml").is_symlink()
    assert victim.read_text() == "mine"
    assert [path.name for path in exported.iterdir()] == ["junit.xml"]


def test_a_file_that_can_not_be_written_leaves_nothing(exported: Path) -> None:
    (exported / "junit.xml").mkdir()
    with pytest.raises(OSError, match=r"junit\.xml"):
        untrusted.write(exported, "junit.xml", "<xml/>")
    assert [path.name for path in exported.iterdir()] == ["junit.xml"]


def test_a_folder_goes_and_what_its_links_name_stays(exported: Path, victim: Path, tmp_path: Path) -> None:
    (exported / "inner").symlink_to(tmp_path)
    untrusted.remove(exported)
    assert not exported.exists()
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    exported.symlink_to(kept)
    untrusted.remove(exported)
    assert not exported.is_symlink()
    assert (kept / "file").exists()
    assert victim.read_text() == "mine"
    untrusted.remove(exported)  # nothing there is fine
