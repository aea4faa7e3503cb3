"""Files that bakes leave: what counts as ours, and what stays."""

from __future__ import annotations

import fcntl
import json

import pytest

from bake.assets import Request, Store
from bake.assets.part import Origin, Part
from bake.errors import EnvironmentUnfit
from bake.leftovers import Kind, find_assets, find_folder, marks_of
from bake.leftovers.cache import Record, _bytes, ours
from generator.commands.clean import OWNED, Place, Wanted, _dockerfiles, clean
from generator.console.reporter import Reporter
from generator.plan import build_graph
from generator.recipe import load_recipe
from generator.render.write import MARKER


@pytest.fixture
def build(tmp_path):
    folder = tmp_path / "build"
    (folder / "contexts/torch").mkdir(parents=True)
    (folder / "contexts/torch/Dockerfile").write_text("FROM base\n")
    (folder / "verify").mkdir()
    for name in ("docker-bake.hcl", "results.json", "verify/report.json", MARKER):
        (folder / name).write_text("12345")
    return folder


def folders(folder):
    return list(find_folder(folder, marker=MARKER, owned=OWNED))


def test_a_build_folder_goes_whole(build):
    (entry,) = folders(build)
    assert (entry.kind, entry.name, entry.size) == (Kind.FOLDER, str(build), 25)
    assert entry.remove() == 25
    assert not build.exists()


def test_what_others_put_there_stays(build, tmp_path):
    (build / "notes.txt").write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    (build / ".render-link").symlink_to(elsewhere)
    (entry,) = folders(build)
    entry.remove()
    assert sorted(path.name for path in build.iterdir()) == [".render-link", "notes.txt"]
    assert (elsewhere / "kept").exists()


def test_a_folder_without_the_marker_is_not_ours(build):
    (build / MARKER).unlink()
    assert folders(build) == []
    assert folders(build.parent / "none") == []


def test_what_can_not_be_removed_is_told(build, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", refuse)
    (entry,) = folders(build)
    with pytest.raises(EnvironmentUnfit, match="Permission denied"):
        entry.remove()
    assert (build / MARKER).exists()


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "assets")
    request = Request(name="tool", url="http://x/tool.run", file="tool.run", sources=("http://x/tool.run",))
    store.folder_of(request).mkdir(parents=True)
    store.path_of(request).write_bytes(b"x" * 1000)
    store.check(request)
    (store.folder / "tool.run").write_bytes(b"by hand")
    (store.folder / "foreign.json").write_text(json.dumps({"a": 1}))
    (store.folder / "foreign.part").write_bytes(b"y")
    with Part(store.folder / "other-1.part") as part:
        part.append(b"z" * 500)
        part.come_from(Origin(source="http://x/other"))
    return store


def test_assets_stay_unless_asked_for_and_parts_go(store):
    part, asset = find_assets(store, fetched=False)
    assert (part.kind, part.kept) == (Kind.PART, "")
    assert part.size >= 500
    assert (asset.kind, asset.kept) == (Kind.ASSET, "--assets removes it")
    part.remove()
    assert not (store.folder / "other-1.part").exists()
    (asset,) = find_assets(store, fetched=True)
    assert asset.kept == ""
    asset.remove()
    assert sorted(path.name for path in store.folder.iterdir()) == ["foreign.json", "foreign.part", "tool.run"]


def test_a_part_that_is_coming_is_left_alone(store):
    with (store.folder / "other-1.part").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert [entry.kind for entry in find_assets(store, fetched=False)] == [Kind.ASSET]


def test_a_record_that_names_a_path_is_no_record(store):
    (store.folder / "evil-1.json").write_text(
        json.dumps({"url": "u", "file": "../../x", "sha256": "0", "size": 1, "mtime_ns": 1, "inode": 1})
    )
    (asset,) = (entry for entry in find_assets(store, fetched=True) if entry.kind is Kind.ASSET)
    assert asset.name.startswith("tool-")


def test_without_an_engine_the_rest_is_still_cleaned(build, minimal_recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    place = Place(build=build, assets=tmp_path / "none")
    clean(Reporter(), minimal_recipe, place, Wanted(), yes=True, dry_run=False)
    assert not build.exists()
    said = capsys.readouterr().err
    assert "images are not listed: no Docker Engine answers" in said
    assert "1 of 1 removed" in said


@pytest.fixture
def minimal_recipe():
    return load_recipe("demo").recipe


DOCKERFILE = """\
RUN --mount=type=cache,id=uplift-uv,target=/c \\
    --mount=type=cache,sharing=locked,id=uplift-pip,target=/p <<"SH"
set -eu
uv pip install torch
SH
RUN true
"""


def record(description, *, mount=False):
    return Record(id="i", description=description, size=1, mount=mount, reclaimable=True)


def test_marks_of_a_dockerfile_and_the_records_they_tell():
    marks = marks_of([DOCKERFILE])
    assert marks.mounts == {"uplift-uv", "uplift-pip"}
    assert marks.commands == ("set -eu\nuv pip install torch",)
    step = record("mount / from exec /bin/sh -c set -eu\nuv pip install torch\n")
    mount = record('cached mount /c from exec /bin/sh -c x\n with id "/uplift-uv"', mount=True)
    others = [record("mount / from exec /bin/sh -c true"), record('cached mount /c with id "/other"', mount=True)]
    assert ours([step, mount, *others], marks) == [step, mount]


def test_cache_mounts_of_other_recipes_stay():
    marks = marks_of([DOCKERFILE], scopes=("demo /opt ", "fetched"))
    spaces = {
        "demo /opt base:1@sha256:12": True,
        "demo /opt r.example.org:5000/base": True,
        "fetched": True,
        "": True,  # of earlier releases
        "demo /opt/other base:1": False,
        "demo2 /opt base:1": False,
        "mine": False,
    }
    for space, goes in spaces.items():
        mount = record(f'cached mount /c from exec /bin/sh -c x\n with id "{space}/uplift-uv"', mount=True)
        assert bool(ours([mount], marks)) is goes, space


@pytest.mark.parametrize(("text", "expected"), [("0B", 0), ("12.29kB", 12290), ("1.5GB", 1500000000), ("?", 0)])
def test_sizes_as_buildx_prints_them(text, expected):
    assert _bytes(text) == expected


def test_the_label_is_the_last_instruction_of_the_image():
    """``clean`` tells a bake's own image by it from one that was built upon it."""
    (image,) = (
        text for text in _dockerfiles(build_graph(load_recipe("demo").recipe)) if "io.image-uplift.recipe=" in text
    )
    last = image.rstrip().rpartition("\nLABEL ")[2]
    assert "io.image-uplift.recipe=" in last
    assert all(line.startswith(" ") for line in last.splitlines()[1:])
