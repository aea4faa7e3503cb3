"""The folder of assets: what others put in the way, its rights, and its disk."""

from __future__ import annotations

import os
import stat

import pytest

from bake.assets.part import Part
from bake.errors import EnvironmentUnfit


def test_two_fetches_of_one_file_do_not_mix(sources, asked_for, get, store):
    request = asked_for(sources())
    with Part(store.part_of(request)) as part:
        part.append(b"x")
        with pytest.raises(EnvironmentUnfit, match="another fetch is at work"):
            get(request)


def plant_link(path, victim):
    path.symlink_to(victim)


def plant_name(path, victim):
    path.hardlink_to(victim)


def plant_pipe(path, _victim):
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [plant_link, plant_name, plant_pipe])
def test_what_others_put_in_the_way_is_not_written_to(sources, asked_for, get, store, tmp_path, plant):
    (tmp_path / "victim").write_bytes(b"mine")
    store.folder.mkdir()
    plant(store.part_of(asked_for(source := sources())), tmp_path / "victim")
    with pytest.raises(EnvironmentUnfit, match="assets folder can't be written") as caught:
        get(asked_for(source))
    assert store.part_of(asked_for(source)).name in str(caught.value.where)
    assert (tmp_path / "victim").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["{}.part.json", "{}.part.json.new", "{}.json", "{}.json.new"])
def test_a_note_goes_through_no_link(sources, asked_for, get, store, tmp_path, content, name):
    (tmp_path / "victim").write_bytes(b"mine")
    store.folder.mkdir()
    request = asked_for(sources())
    (store.folder / name.format(request.key)).symlink_to(tmp_path / "victim")
    assert get(request).path.read_bytes() == content
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_a_file_goes_into_no_folder_behind_a_link(sources, asked_for, get, store, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/tool.run").write_bytes(b"mine")
    store.folder.mkdir()
    request = asked_for(sources())
    store.folder_of(request).symlink_to(tmp_path / "home")
    with pytest.raises(EnvironmentUnfit, match="not this user's own"):
        get(request)
    assert (tmp_path / "home/tool.run").read_bytes() == b"mine"


def test_the_folder_is_this_users_alone_when_it_is_made(sources, asked_for, get, store):
    get(asked_for(sources()))
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_a_full_disk_is_told_before_the_bytes_come(sources, asked_for, get, monkeypatch):
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("bake.assets.transfer.shutil.disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentUnfit, match=r"needs 3\.0 MB more of disk, and 1\.0 MB are free"):
        get(asked_for(sources()))


def test_a_folder_that_is_a_file(sources, asked_for, get, store):
    store.folder.write_text("")
    with pytest.raises(EnvironmentUnfit, match="can't be written"):
        get(asked_for(sources()))
