from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.errors import BuildFailed, EnvironmentUnfit, UsageError
from bake.progress.events import State
from generator.baking.archive import Archive, ArchiveFormat


def ended(failure: BuildFailed | None = None) -> BakeOutcome:
    return BakeOutcome(
        request=BakeRequest(file=Path("docker-bake.hcl")),
        state=State.FAILED if failure else State.DONE,
        started=0.0,
        completed=1.0,
        steps=(),
        metadata={},
        failure=failure,
    )


@pytest.mark.parametrize("form", ArchiveFormat)
@pytest.mark.parametrize("name", ["image.tar", 'a,b "c".tar', "with space.tar"])
def test_the_exporter_is_quoted_as_csv(form: ArchiveFormat, name: str, tmp_path: Path) -> None:
    (fields,) = csv.reader([Archive(form=form, path=tmp_path / name).exporter(tmp_path / name)])
    assert fields[0] == {"oci-archive": "type=oci", "docker-archive": "type=docker"}[form.value]
    assert fields[-1] == f"dest={tmp_path / name}"


def test_the_file_gets_its_name_only_when_all_is_written(tmp_path: Path) -> None:
    archive = Archive(form=ArchiveFormat.OCI, path=tmp_path / "image.tar")
    archive.path.write_text("old")

    def export(part: Path) -> BakeOutcome:
        part.write_text("new")
        assert archive.path.read_text() == "old"
        return ended()

    archive.written(export)
    assert archive.path.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]


def test_a_failure_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    archive = Archive(form=ArchiveFormat.DOCKER, path=tmp_path / "image.tar")
    archive.path.write_text("old")

    def export(part: Path) -> BakeOutcome:
        part.write_text("half")
        return ended(BuildFailed("the step failed"))

    assert archive.written(export).failure is not None
    assert archive.path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]


@pytest.mark.parametrize("kept", [".config.bak", ".config.a_backup", ".image-uplift-notes"])
def test_folders_beside_it_stay(tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).mkdir()
    (tmp_path / kept / "file").write_text("years of work")
    left = tmp_path / ".image-uplift-0a1b2c3d"  # of one that was killed
    left.mkdir()
    archive = Archive(form=ArchiveFormat.OCI, path=tmp_path / "config")

    def export(part: Path) -> BakeOutcome:
        part.write_text("new")
        return ended()

    archive.written(export)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kept, "config"])


def test_an_engine_that_wrote_nothing_is_noticed(tmp_path: Path) -> None:
    archive = Archive(form=ArchiveFormat.OCI, path=tmp_path / "image.tar")
    with pytest.raises(EnvironmentUnfit, match="could not be saved"):
        archive.written(lambda _part: ended())
    assert not archive.path.exists()


def test_what_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is a folder"):
        Archive(form=ArchiveFormat.OCI, path=tmp_path).check()
    with pytest.raises(UsageError, match="no such folder"):
        Archive(form=ArchiveFormat.OCI, path=tmp_path / "nothing" / "x.tar").check()
    Archive(form=ArchiveFormat.OCI, path=tmp_path / "x.tar").check()
