"""Bundles: what was fetched, in a folder that is held to the lock and to its own list before a bake uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bake.buildx.driver import BakeOutcome, BakeRequest
from bake.errors import BuildFailed, UsageError
from generator.baking.bundle import _hashes, made_for, open_bundle, write_bundle
from generator.job import Job, Rendered, run
from generator.plan import build_graph
from generator.recipe import Recipe
from generator.render import render
from tests.unit.generator.baking.conftest import outcome

FILES = {
    "fetch-stack/fetched/torch-2.11.0-py3-none-any.whl": "torch",
    "source-torch-scatter/source/torch_scatter-2.1.2.tar.gz": "scatter",
    "requirements/files.json": "{}",
}
HERE = "linux/amd64"
MakeJob = Callable[..., Job]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The images of an engine, by name."""
    images = {"base:1": "the base"}
    module = "generator.baking.bundle.engine"
    monkeypatch.setattr(f"{module}.save_image", lambda name, path: path.write_text(images[name]))
    monkeypatch.setattr(f"{module}.load_image", lambda path: images.update({"base:1": path.read_text()}))
    monkeypatch.setattr(f"{module}.image_facts", lambda _, name: images.get(name))

    class Client:
        def close(self) -> None: ...

    monkeypatch.setattr(f"{module}.connect", Client)
    return images


def drive(request: BakeRequest, _listener: Any) -> BakeOutcome:
    folder = Path(request.overrides["bundle.output"].rpartition("dest=")[2])
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return outcome(request)


@pytest.fixture
def job(make_job: MakeJob, demo: Recipe) -> Job:
    graph = build_graph(demo)
    made = make_job()
    rendered = Rendered(graph=graph, folder=made.folder, file=made.rendered.file, files=render(graph))
    return replace(made, rendered=rendered, driver=drive)


@pytest.fixture
def folder(job: Job, engine: dict[str, str], tmp_path: Path) -> Path:
    return write_bundle(job, tmp_path / "bundle", images=sorted(engine)).folder


def opened(job: Job, folder: Path, locked: Any = None) -> Any:
    return open_bundle(folder, job.recipe, job.rendered, locked or {}, platform=HERE)


def locked_as(folder: Path) -> dict[str, dict[str, str]]:
    name = "fetch-stack/fetched/torch-2.11.0-py3-none-any.whl"
    return {
        "stack": {name.rpartition("/")[2]: json.loads((folder / "bundle.json").read_text())["files"][f"fetched/{name}"]}
    }


def test_what_was_fetched_takes_the_place_of_its_targets(job: Job, folder: Path) -> None:
    bundle = opened(job, folder, locked_as(folder))
    requests: list[BakeRequest] = []

    def listen(request: BakeRequest, _listener: Any) -> BakeOutcome:
        requests.append(request)
        return outcome(request)

    run(replace(job, bundle=bundle, driver=listen), ("image",))
    overrides = requests[0].overrides
    assert overrides["torch.contexts.fetch-stack"] == str(folder / "fetched/fetch-stack")
    assert overrides["image.contexts.tools"] == str(folder / "fetched/tools")
    assert overrides["wheel-torch-scatter.contexts.source"] == str(folder / "fetched/source-torch-scatter")
    assert "image.contexts.torch" not in overrides
    assert folder in requests[0].allow


def test_an_image_that_the_engine_lacks_is_loaded(job: Job, folder: Path, engine: dict[str, str]) -> None:
    engine.clear()
    opened(job, folder)
    assert engine == {"base:1": "the base"}


@pytest.mark.usefixtures("engine")
def test_nothing_half_written_is_left(job: Job, tmp_path: Path) -> None:
    def fail(request: BakeRequest, _listener: Any) -> BakeOutcome:
        return outcome(request, failure="no index")

    with pytest.raises(BuildFailed, match="no index"):
        write_bundle(replace(job, driver=fail), tmp_path / "bundle", images=["base:1"])
    assert not [entry.name for entry in tmp_path.iterdir() if "bundle" in entry.name]


def test_a_folder_that_is_there_stays(job: Job, folder: Path) -> None:
    with pytest.raises(UsageError, match="it is there already"):
        write_bundle(job, folder, images=[])


def add(folder: Path) -> None:
    (folder / "fetched/fetch-stack/fetched/torch-2.11.0-1-py3-none-any.whl").write_text("worse")


def change(folder: Path) -> None:
    (folder / "fetched/fetch-stack/fetched/torch-2.11.0-py3-none-any.whl").write_text("worse")


def remove(folder: Path) -> None:
    (folder / "fetched/requirements/files.json").unlink()


def link(folder: Path) -> None:
    remove(folder)
    (folder / "fetched/requirements/files.json").symlink_to("/etc/hostname")


@pytest.mark.parametrize("damage", [add, change, remove, link])
def test_a_bundle_that_was_changed_is_refused(job: Job, folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(UsageError, match="1 files are not as they were bundled, such as fetched/"):
        opened(job, folder)


@pytest.mark.parametrize("damage", [add, change])
def test_a_list_that_was_changed_too_is_not_the_locks(job: Job, folder: Path, damage: Callable[[Path], None]) -> None:
    locked = locked_as(folder)
    damage(folder)
    document = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**document, "files": dict(_hashes(folder))}))
    with pytest.raises(UsageError, match="its files of stack are not those of the lock"):
        opened(job, folder, locked)


def test_a_bundle_of_another_recipe_or_lock_is_refused(job: Job, folder: Path) -> None:
    graph = build_graph(job.recipe, locked={"stack": {"torch-2.11.0-py3-none-any.whl": "1" * 64}})
    other = Rendered(graph=graph, folder=job.folder, file=job.rendered.file, files=render(graph))
    assert made_for(other, platform=HERE) != made_for(job.rendered, platform=HERE)
    with pytest.raises(UsageError, match="was made for another recipe, lock or version"):
        open_bundle(folder, job.recipe, other, {}, platform=HERE)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000])
def test_a_folder_that_is_no_bundle_is_told(job: Job, folder: Path, text: str) -> None:
    (folder / "bundle.json").write_text(text)
    with pytest.raises(UsageError, match="this is no bundle"):
        opened(job, folder)
