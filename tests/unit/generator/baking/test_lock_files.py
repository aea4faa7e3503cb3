"""The target that resolves a lock's files, with a driver that builds nothing: what it leaves is untrusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.errors import BuildFailed
from generator.baking.lock_files import LIMIT, resolve_files
from generator.job import Job
from tests.unit.generator.baking.conftest import outcome

ONE = "1" * 64
FILES = {"torch-2.11.0-cp310-cp310-manylinux_2_28_x86_64.whl": ONE}
MakeJob = Callable[..., Job]


def leaving(plant: Callable[[Path], object], *, failure: str = "") -> Callable[..., BakeOutcome]:
    """Make a driver whose build leaves files in the folder that it exports."""

    def drive(request: BakeRequest, _listener: Any) -> BakeOutcome:
        assert request.targets == ("lock",)
        folder = Path(request.overrides["lock.output"].rpartition("dest=")[2])
        assert request.overrides["fetch-stack.no-cache"] == "true"  # what it resolved another day is no answer
        assert "fetch-build.no-cache" not in request.overrides
        assert any(folder.is_relative_to(allowed) for allowed in request.allow_write)
        folder.mkdir()
        plant(folder)
        return outcome(request, failure=failure)

    return drive


def resolved(make_job: MakeJob, plant: Callable[[Path], object], **more: str) -> dict[str, dict[str, str]]:
    return resolve_files(replace(make_job(), driver=leaving(plant, **more)), ("stack",))


def test_the_files_of_each_group_are_taken_by_name(make_job: MakeJob) -> None:
    def plant(folder: Path) -> None:
        (folder / "stack.json").write_text(json.dumps(FILES))
        (folder / "other.json").write_text("{")

    assert resolved(make_job, plant) == {"stack": FILES}


def test_nothing_is_left_of_the_folder(make_job: MakeJob) -> None:
    seen: list[Path] = []

    def plant(folder: Path) -> None:
        seen.append(folder)
        (folder / "stack.json").write_text("{}")

    assert resolved(make_job, plant) == {"stack": {}}
    assert not seen[0].parent.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"torch.whl": 1}',
        '{"torch.whl": "0"}',
        json.dumps({"../torch.whl": ONE}),
        json.dumps({"torch.whl\n": ONE}),
        "[" * 100_000,
        " " * (LIMIT + 1),
    ],
)
def test_what_is_no_list_of_files_is_told(make_job: MakeJob, text: str) -> None:
    with pytest.raises(BuildFailed, match="the build left no list of files") as caught:
        resolved(make_job, lambda folder: (folder / "stack.json").write_text(text))
    assert caught.value.where == "target lock, stack.json"


def test_no_link_is_followed(make_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(FILES))
    with pytest.raises(BuildFailed, match="the build left no list of files"):
        resolved(make_job, lambda folder: (folder / "stack.json").symlink_to(tmp_path / "mine.json"))


def test_a_failed_step_is_told(make_job: MakeJob) -> None:
    with pytest.raises(BuildFailed, match="no index"):
        resolved(make_job, lambda _: None, failure="no index")
