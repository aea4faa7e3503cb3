"""Fetching from real HTTP servers on loopback, with everything that goes wrong on the way."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
from random import Random

import pytest

from bake.assets import Request, State, fetch
from bake.assets.part import Part
from bake.assets.transfer import open_session
from bake.errors import EnvironmentUnfit, Interrupted

BLOCK = 65536


def names(store):
    return sorted(path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file())


@pytest.fixture
def content():
    return Random(904).randbytes(3_000_000)


@pytest.fixture
def get(store, heard, session):
    def run(request, **options):
        return fetch(request, store, heard, session=session, pause=0.01, **options)

    return run


def test_a_whole_file_arrives_under_its_name_and_alone(sources, asked_for, get, store, content):
    source = sources()
    request = asked_for(source, size=len(content))
    fetched = get(request)
    assert fetched.path == store.folder / request.key / "tool.run"
    assert fetched.path.read_bytes() == content
    assert fetched.known
    assert names(store) == [f"{request.key}.json", f"{request.key}/tool.run"]
    assert store.state(request) is State.FETCHED
    assert source.asked[0]["Accept-Encoding"] == "identity"


def test_a_checked_file_is_known_again_without_a_request_or_a_read(sources, asked_for, get, monkeypatch):
    source = sources()
    get(asked_for(source))

    def never(_path):
        raise AssertionError("the file was read")

    monkeypatch.setattr("bake.assets.store.digest_of", never)
    get(asked_for(source))
    assert len(source.asked) == 1


def test_check_reads_the_file_again(sources, asked_for, get, heard):
    source = sources()
    get(asked_for(source))
    get(asked_for(source), again=True)
    assert len(source.asked) == 1
    assert heard.lines[-1].startswith("tool: checking ")


def test_a_cut_connection_goes_on_where_it_ended(sources, asked_for, get, content, heard):
    source = sources(cut=1_000_000, cuts=3)
    assert get(asked_for(source)).path.read_bytes() == content
    assert source.ranges_asked()[0] == ""
    assert all(asked.startswith("bytes=") for asked in source.ranges_asked()[1:])
    assert source.asked[1]["If-Range"] == '"one"'
    assert source.sent == len(content)
    assert heard.bytes == len(content)


def test_a_source_that_never_gets_on_is_given_up_and_leaves_nothing(sources, asked_for, get, store):
    source = sources(cut=0, cuts=1000)
    with pytest.raises(EnvironmentUnfit, match=r"tool\.run could not be fetched") as caught:
        get(asked_for(source))
    assert len(source.asked) == 5
    assert "the connection ended at 0 B" in caught.value.message
    assert "mend the network" in (caught.value.remedy or "")
    assert names(store) == []


def test_progress_makes_the_count_of_tries_begin_anew(sources, asked_for, get, content):
    source = sources(cut=2 * BLOCK, cuts=12)
    assert get(asked_for(source)).path.read_bytes() == content
    assert len(source.asked) == 13


@pytest.mark.parametrize("known", [True, False])
def test_without_ranges_it_begins_anew(sources, asked_for, get, content, known):
    source = sources(ranges=False, cut=1_000_000)
    fetched = get(asked_for(source, **({} if known else {"sha256": None})))
    assert fetched.path.read_bytes() == content
    assert source.sent > len(content)


def test_an_interrupted_fetch_keeps_its_part_and_goes_on(sources, asked_for, store, get, content, heard):
    source = sources()
    request = asked_for(source)
    heard.stop = 1_000_000
    with pytest.raises(Interrupted, match=r"interrupted; 1\.[0-2] MB of tool\.run are kept"):
        get(request)
    assert names(store) == [f"{request.key}.part", f"{request.key}.part.json"]
    assert store.state(request) is State.PARTIAL
    kept = store.part_of(request).stat().st_size
    assert get(request).path.read_bytes() == content
    assert source.ranges_asked() == ["", f"bytes={kept}-"]
    assert heard.starts[-1][1] == kept


def test_a_changed_etag_begins_anew(sources, asked_for, get, content, heard):
    source = sources(content=bytes(len(content)))
    request = asked_for(source)
    heard.stop = 500_000
    with pytest.raises(Interrupted):
        get(request)
    source.content, source.etag = content, '"two"'
    assert get(request).path.read_bytes() == content
    assert source.asked[1]["If-Range"] == '"one"'
    assert heard.starts[-1][1] == 0


def test_a_server_that_ignores_if_range_is_found_out_by_its_etag(sources, asked_for, get, content, heard):
    source = sources(content=bytes(len(content)), if_range=False)
    request = asked_for(source, sha256=None)
    heard.stop = 500_000
    with pytest.raises(Interrupted):
        get(request)
    source.content, source.etag = content, '"two"'
    assert get(request).path.read_bytes() == content
    assert any("the file changed at its source" in line for line in heard.lines)


def test_the_date_will_do_where_there_is_no_etag(sources, asked_for, get, content):
    date = "Mon, 23 Nov 2026 10:00:00 GMT"
    source = sources(etag="", modified=date, cut=500_000)
    assert get(asked_for(source)).path.read_bytes() == content
    assert source.asked[1]["If-Range"] == date


def test_a_weak_etag_is_not_sent(sources, asked_for, get, content):
    source = sources(etag='W/"one"', cut=500_000)
    assert get(asked_for(source)).path.read_bytes() == content
    assert "If-Range" not in source.asked[1]


def test_unmarked_bytes_go_on_only_where_a_hash_will_tell(sources, asked_for, get, content):
    source = sources(etag="", cut=500_000)
    get(asked_for(source))
    assert source.ranges_asked()[1] != ""
    other = sources(etag="", cut=500_000)
    assert get(asked_for(other, sha256=None)).path.read_bytes() == content
    assert other.ranges_asked() == ["", ""]


def test_bytes_that_do_not_fit_are_thrown_away_once(sources, asked_for, get, store, content, heard):
    source = sources()
    request = asked_for(source)
    with Part(store.part_of(request)) as part:
        part.append(b"x" * 100_000)
    assert get(request).path.read_bytes() == content
    assert source.ranges_asked() == ["bytes=100000-", ""]
    assert any("does not fit" in line for line in heard.lines)


def test_a_part_that_is_already_whole_needs_no_bytes(sources, asked_for, get, store, content):
    source = sources()
    request = asked_for(source)
    with Part(store.part_of(request)) as part:
        part.append(content)
    assert get(request).path.read_bytes() == content
    assert source.sent == 0


def test_a_part_that_is_too_long_is_thrown_away(sources, asked_for, get, store, content):
    source = sources()
    request = asked_for(source)
    with Part(store.part_of(request)) as part:
        part.append(content + b"more")
    assert get(request).path.read_bytes() == content


def test_a_wrong_hash_leaves_nothing_and_says_what_was_expected(sources, asked_for, get, store, content):
    source = sources(content=content[:-1] + b"!")
    wrong = hashlib.sha256(source.content).hexdigest()
    with pytest.raises(EnvironmentUnfit) as caught:
        get(asked_for(source))
    assert caught.value.exit_status == 3
    assert f"its SHA-256 is {wrong}, and {hashlib.sha256(content).hexdigest()} was expected" in caught.value.message
    assert "do not trust" in (caught.value.remedy or "")
    assert names(store) == []


def test_a_wrong_size_is_told_before_the_bytes_come(sources, asked_for, get):
    source = sources()
    with pytest.raises(EnvironmentUnfit, match="3000000 bytes there, and the recipe or its lock says 5"):
        get(asked_for(source, size=5))


@pytest.mark.parametrize("status", [404, 403, 410])
def test_an_absent_file_is_fetched_from_the_alternative(sources, asked_for, get, content, heard, status):
    first, second = sources(statuses=[status]), sources()
    assert get(asked_for(first, second)).path.read_bytes() == content
    assert len(first.asked) == 1
    assert any(f"{status}" in line and "trying the next source" in line for line in heard.lines)


def test_an_alternative_goes_on_with_the_bytes_of_the_first(sources, asked_for, get, content, heard):
    first, second = sources(), sources(etag='"other"')
    heard.stop = 1_000_000
    with pytest.raises(Interrupted):
        get(asked_for(first, second))
    first.statuses = [404]
    assert get(asked_for(first, second)).path.read_bytes() == content
    assert second.sent < len(content)


def test_a_wrong_file_in_pieces_is_begun_anew_only_once(sources, asked_for, get, content):
    source = sources(content=bytes(len(content)), cut=1_000_000, cuts=1000)
    with pytest.raises(EnvironmentUnfit, match="its SHA-256 is"):
        get(asked_for(source))
    assert source.ranges_asked().count("") == 1


def test_a_wrong_file_at_the_first_source_is_fetched_from_the_alternative(sources, asked_for, get, content):
    first, second = sources(content=b"<html>log in</html>"), sources()
    assert get(asked_for(first, second)).path.read_bytes() == content


def test_a_busy_server_is_asked_again(sources, asked_for, get, content):
    source = sources(statuses=[503, 429, 500])
    assert get(asked_for(source)).path.read_bytes() == content


def test_a_refused_connection_names_the_address(asked_for, get, sources):
    source = sources()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        source.url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        with pytest.raises(EnvironmentUnfit, match="Connection refused") as caught:
            get(asked_for(source))
    assert source.url in caught.value.message


def test_a_login_comes_from_netrc(sources, asked_for, get, tmp_path, content):
    source = sources(login="Basic bWU6c2VjcmV0")
    with pytest.raises(EnvironmentUnfit, match="401") as caught:
        get(asked_for(source))
    assert ".netrc" in (caught.value.remedy or "")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    assert get(asked_for(source)).path.read_bytes() == content


@pytest.mark.parametrize("given", [True, False])
def test_a_login_follows_no_redirect_to_another_server(sources, asked_for, store, heard, tmp_path, monkeypatch, given):
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", "" if given else str(tmp_path / "netrc"))
    second = sources()
    first = sources(moved=second.url)
    with open_session(None, tmp_path / "netrc" if given else None) as session:
        fetch(asked_for(first), store, heard, session=session, pause=0)
    assert [asked.get("Authorization") for asked in (*first.asked, *second.asked)] == ["Basic bWU6c2VjcmV0", None]


def test_a_token_in_an_address_is_in_no_line_and_no_file(sources, store, session, heard, content):
    broken, whole = sources(statuses=[404]), sources()
    sha256 = hashlib.sha256(content).hexdigest()
    urls = tuple(f"{source.url}?token=canary" for source in (broken, whole))
    request = Request(name="tool", url=urls[0], file="tool.run", sources=urls, sha256=sha256)
    heard.stop = 1_500_000
    with pytest.raises(Interrupted):
        fetch(request, store, heard, session=session, pause=0)
    parts = [file.read_bytes() for file in store.folder.iterdir()]
    fetch(request, store, heard, session=session, pause=0)
    kept = [file.read_bytes() for file in store.folder.glob("*.json")]
    assert kept
    assert "tool.run?…" in str(heard)
    assert "canary" not in f"{heard} {parts} {kept}"
    broken.statuses = [404]
    lost = Request(name="other", url=urls[0], file="f", sources=urls[:1], sha256=sha256)
    with pytest.raises(EnvironmentUnfit) as caught:
        fetch(lost, store, heard, session=session, pause=0)
    assert "canary" not in f"{caught.value} {caught.value.remedy}"


def test_a_redirect_that_leads_nowhere_is_told(sources, asked_for, get):
    with pytest.raises(EnvironmentUnfit, match="could not be fetched"):
        get(asked_for(sources(moved="http://127.0.0.1:port/x")))


def test_without_a_length_the_hash_decides(sources, asked_for, get, content):
    source = sources(length=False)
    source.cut = None
    assert get(asked_for(source)).path.read_bytes() == content


def test_an_unknown_hash_is_found_out(sources, asked_for, get, content):
    fetched = get(asked_for(sources(), sha256=None))
    assert not fetched.known
    assert fetched.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_that_changed_is_fetched_anew(sources, asked_for, get, store, content, heard):
    source = sources()
    request = asked_for(source)
    path = get(request).path
    path.write_bytes(b"something else")
    assert store.state(request) is State.UNCHECKED
    assert get(request).path.read_bytes() == content
    assert any("fetching it anew" in line for line in heard.lines)


def test_a_file_that_was_touched_is_checked_and_kept(sources, asked_for, get, store):
    source = sources()
    request = asked_for(source)
    path = get(request).path
    path.touch()
    assert store.state(request) is State.UNCHECKED
    get(request)
    assert store.state(request) is State.FETCHED
    assert len(source.asked) == 1


def test_another_hash_in_the_recipe_makes_the_file_unchecked(sources, asked_for, get, store):
    source = sources()
    get(asked_for(source, sha256=None))
    assert store.state(asked_for(source)) is State.FETCHED
    assert store.state(asked_for(source, sha256="0" * 64)) is State.UNCHECKED


def test_a_file_put_there_by_hand_is_taken(sources, asked_for, get, store, content):
    source = sources()
    store.folder.mkdir()
    (store.folder / "tool.run").write_bytes(content)
    assert get(asked_for(source)).path.read_bytes() == content
    assert source.asked == []


def test_a_wrong_file_put_there_by_hand_is_not(sources, asked_for, get, store, content):
    source = sources()
    store.folder.mkdir()
    (store.folder / "tool.run").write_bytes(b"not it")
    assert get(asked_for(source)).path.read_bytes() == content
    assert (store.folder / "tool.run").read_bytes() == b"not it"


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


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_more_bytes_than_the_recipe_says_are_left(sources, asked_for, get, store, sha256):
    source = sources(length=False)
    with pytest.raises(EnvironmentUnfit, match=r"more than 1\.0 MB that it should have"):
        get(asked_for(source, size=1_000_000, sha256=sha256))
    assert names(store) == []


def test_a_file_that_ends_before_its_size_is_not_whole(sources, asked_for, get, content):
    source = sources(content=content[:1000], length=False)
    with pytest.raises(EnvironmentUnfit, match="1000 bytes there, and the recipe or its lock says 3000000"):
        get(asked_for(source, size=len(content), sha256=None))


@pytest.mark.parametrize("limit", ["told", "disk"])
def test_a_file_whose_size_nobody_tells_has_a_limit(sources, asked_for, get, store, monkeypatch, limit):
    if limit == "told":
        monkeypatch.setattr("bake.assets.transfer.UNTOLD", 1_000_000)
    else:
        usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 1_000_000)
        monkeypatch.setattr("bake.assets.transfer.shutil.disk_usage", lambda _: usage)
    source = sources(length=False)
    with pytest.raises(EnvironmentUnfit, match="no size is told; write it into the recipe"):
        get(asked_for(source, sha256=None))
    assert names(store) == []
