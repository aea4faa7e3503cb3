"""Transfers that ended early: what goes on, what begins anew, and what is thrown away."""

from __future__ import annotations

import pytest

from bake.assets import State
from bake.assets.part import Part
from bake.errors import EnvironmentUnfit, Interrupted
from tests.unit.bake.assets.conftest import names

BLOCK = 65536


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
