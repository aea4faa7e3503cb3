"""Temporary folders: gone at the end, and those of killed owners with the next one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bake.errors import EnvironmentUnfit
from bake.temporary import temporary_folder

OWNER = """\
import sys
from bake.temporary import temporary_folder
with temporary_folder("uplift-test-", sys.argv[1]) as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def start(place: Path) -> tuple[subprocess.Popen[str], Path]:
    command = [sys.executable, "-c", OWNER, str(place)]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, Path(owner.stdout.readline().strip())


def test_it_goes_at_the_end(tmp_path: Path) -> None:
    with temporary_folder("uplift-test-", str(tmp_path)) as folder:
        (folder / "inner").mkdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_killed_owner_goes_with_the_next_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    (tmp_path / "uplift-test-notes").write_text("somebody's file")
    killed, left = start(tmp_path)
    living, used = start(tmp_path)
    assert left.is_dir()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with temporary_folder("uplift-test-", str(tmp_path)):
        assert not left.exists()
        assert (used / "file").exists()
    living.communicate("")
    assert living.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["uplift-test-notes"]


@pytest.mark.parametrize("name", ["uplift-test-", "uplift-test-bak", "uplift-test-abc_01234", "uplift-test-ABC_0123"])
def test_a_folder_of_another_name_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "file").write_text("years of work")
    with temporary_folder("uplift-test-", str(tmp_path)):
        pass
    assert (tmp_path / name / "file").exists()


def test_where_none_can_be_made_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentUnfit, match="no temporary folder can be made") as raised:  # noqa: SIM117
        with temporary_folder("uplift-test-", str(tmp_path / "nowhere")):
            pass
    assert str(tmp_path / "nowhere") in str(raised.value)
