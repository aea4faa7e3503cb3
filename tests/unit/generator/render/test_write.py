from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from bake.errors import EnvironmentUnfit, UsageError
from generator.plan import build_graph
from generator.recipe import Recipe
from generator.render import render, write_folder

BAKE = PurePosixPath("docker-bake.hcl")
A = PurePosixPath("contexts/a/Dockerfile")
B = PurePosixPath("contexts/b/Dockerfile")


def content(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_rendering_twice_gives_the_same_bytes(demo: Recipe) -> None:
    assert render(build_graph(demo)) == render(build_graph(demo))


def test_writes_exactly_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_folder({BAKE: b"1", A: b"a"}, folder)
    assert content(folder) == {".image-uplift", "docker-bake.hcl", "contexts/a/Dockerfile"}


def test_stale_files_go_and_results_stay(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_folder({BAKE: b"1", A: b"a", B: b"b"}, folder)
    (folder / "results.json").write_text("{}")
    write_folder({BAKE: b"1", A: b"a"}, folder)
    assert content(folder) == {".image-uplift", "docker-bake.hcl", "contexts/a/Dockerfile", "results.json"}


def test_an_edited_file_is_put_right(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_folder({BAKE: b"1", A: b"a"}, folder)
    (folder / A).write_bytes(b"edited")
    write_folder({BAKE: b"1", A: b"a"}, folder)
    assert (folder / A).read_bytes() == b"a"


def test_unchanged_files_keep_their_time(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_folder({BAKE: b"1", A: b"a", B: b"b"}, folder)
    before = (folder / A).stat().st_mtime_ns
    write_folder({BAKE: b"2", A: b"a", B: b"other"}, folder)
    assert (folder / A).stat().st_mtime_ns == before
    assert (folder / B).read_bytes() == b"other"


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not written by this software"):
        write_folder({BAKE: b"1"}, tmp_path)
    assert content(tmp_path) == {"thesis.tex"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_folder({BAKE: b"1"}, tmp_path / "out")


def test_a_failing_write_leaves_the_old_folder_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    write_folder({BAKE: b"1", A: b"a"}, folder)

    def full(self: Path, _data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EnvironmentUnfit, match="No space left"):
        write_folder({BAKE: b"2", A: b"b"}, folder)
    assert content(folder) == {".image-uplift", "docker-bake.hcl", "contexts/a/Dockerfile"}
    assert (folder / BAKE).read_bytes() == b"1"


def test_values_that_no_shell_word_can_hold_are_a_usage_error(demo: Recipe) -> None:
    patch = demo.patch
    assert patch is not None
    bad = demo.model_copy(update={"patch": patch.model_copy(update={"roots": ("/opt/a\nRUN evil",)})})
    with pytest.raises(UsageError, match="control characters"):
        render(build_graph(bad))
