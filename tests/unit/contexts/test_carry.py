"""What comes out of a saved compiler cache: entries of ccache, and nothing that could run or lead elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import load

carry = load("compiler-cache/carry.py")
HASH = "2e1b0c9d8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c"


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def held(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_entries_of_every_ccache_come_along_with_their_times(tmp_path: Path) -> None:
    entries = {
        f"0/a/{HASH}R",
        f"0/a/{HASH}M",
        f"0/a/{HASH}0W",
        f"1/{HASH}",
        f"1/{HASH}_0a",
        "2/f/00112233445566778899aabbccddee-1234.o",
        "2/f/00112233445566778899aabbccddee-1234.manifest",
        "2/f/00112233445566778899aabbccddee-77",
        "2/stats",
        "costs.json",
    }
    write(tmp_path / "from", *entries)
    os.utime(tmp_path / f"from/0/a/{HASH}R", (1000, 2000))
    assert carry.carry(tmp_path / "from", tmp_path / "to")[0] == len(entries)
    assert held(tmp_path / "to") == entries
    assert (tmp_path / f"to/0/a/{HASH}R").stat().st_mtime == 2000
    assert carry.carry(tmp_path / "from", tmp_path / "to") == (0, 0)


@pytest.mark.parametrize(
    "name",
    [
        "ccache.conf",
        f"0/{HASH}R.lock",
        f"0/{HASH}R.tmp.AbCdEf",
        "0/ccache.conf",
        "0/run.sh",
        f"{HASH}R",
        f"tmp/{HASH}R",
        f"lock/{HASH}R",
        f"00/{HASH}R",
        f"x/{HASH}R",
        f"0/.{HASH}R",
        "0/costs.json",
    ],
)
def test_what_is_no_entry_stays_behind(tmp_path: Path, name: str) -> None:
    write(tmp_path / "from", name)
    assert carry.carry(tmp_path / "from", tmp_path / "to") == (0, 0)
    assert held(tmp_path / "to") == set()


def test_links_and_pipes_stay_behind(tmp_path: Path) -> None:
    write(tmp_path, "secret", f"elsewhere/{HASH}R")
    source = tmp_path / "from"
    (source / "0").mkdir(parents=True)
    (source / f"0/{HASH}R").symlink_to(tmp_path / "secret")
    (source / "1").symlink_to(tmp_path / "elsewhere")
    (source / "costs.json").symlink_to("../secret")
    os.mkfifo(source / f"0/{HASH}M")
    assert carry.carry(source, tmp_path / "to") == (0, 0)
    assert held(tmp_path / "to") == set()


def test_no_file_gets_rights_of_its_source(tmp_path: Path) -> None:
    write(tmp_path / "from", f"0/{HASH}R")
    (tmp_path / f"from/0/{HASH}R").chmod(0o4755)
    carry.carry(tmp_path / "from", tmp_path / "to")
    assert (tmp_path / f"to/0/{HASH}R").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("bound", ["MOST_FILES", "MOST_BYTES"])
def test_more_than_a_cache_can_have_is_refused_whole(
    tmp_path: Path, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "from", f"0/{HASH}R", f"0/{HASH}M")
    monkeypatch.setattr(carry, bound, 1)
    with pytest.raises(SystemExit, match="no compiler cache"):
        carry.carry(tmp_path / "from", tmp_path / "to")
    assert not (tmp_path / "to").exists()
