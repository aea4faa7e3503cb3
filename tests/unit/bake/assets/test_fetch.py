"""Fetching from real HTTP servers on loopback, with everything that goes wrong on the way."""

from __future__ import annotations

import hashlib
import shutil
import socket

import pytest

from bake.assets import Request, State, fetch
from bake.assets.transfer import open_session
from bake.errors import EnvironmentUnfit, Interrupted
from tests.unit.bake.assets.conftest import names


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
