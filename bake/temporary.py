"""Temporary folders that are left by no command: one whose owner was killed goes with the next that is made."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPENED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RANDOM = "[a-z0-9_]" * 8  # how ``mkdtemp`` goes on after a prefix; what goes on otherwise is somebody else's


@contextmanager
def temporary_folder(prefix: str, within: str | None = None) -> Iterator[Path]:
    """Make a folder for this user alone, and remove it afterwards.

    Its owner holds a lock on it, which the kernel gives up when the owner ends, however that happens.

    Args:
        prefix: how its name begins, and the names of those that are looked for. within: where; None: the usual place.

    Raises:
        EnvironmentUnfit: none can be made there.
    """
    parent = Path(within or tempfile.gettempdir())
    _remove_left(parent, prefix)
    try:
        path, number = _made(parent, prefix)
    except OSError as error:
        raise EnvironmentUnfit(
            f"no temporary folder can be made: {error.strerror or error}",
            where=str(parent),
            remedy="free space there" if within else "free space there, or set TMPDIR to another folder",
        ) from None
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(number)


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    """Make a folder and lock it; gives its descriptor too, which holds the lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        number = os.open(path, _OPENED)
        with suppress(OSError):  # a file system without locks: then nobody else gets one, and nothing is removed
            fcntl.flock(number, fcntl.LOCK_SH)
        if path.exists():  # another command may have taken it for a left one before it was locked
            return path, number
        os.close(number)


def _remove_left(parent: Path, prefix: str) -> None:
    for path in parent.glob(f"{glob.escape(prefix)}{_RANDOM}"):
        with suppress(OSError):
            number = os.open(path, _OPENED)
            try:
                if os.fstat(number).st_uid == os.getuid():
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
            finally:
                os.close(number)
