"""Files that came out of a build: its code chose their names and kinds, so no link of it is ever followed."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 64 << 20  # bytes of one file; the report of a large image has some 100 KB


def read(folder: Path, name: str, *, limit: int = LIMIT) -> bytes:
    """Read a regular file of a folder.

    Raises:
        OSError: there is none of that name, it is a link or of another kind, or it is larger than the limit.
    """
    with _opened(folder) as place:
        # Without O_NONBLOCK a FIFO would wait for a writer.
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(f"{folder / name} is no regular file")
        with os.fdopen(number, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(number)
    if len(content) > limit:
        raise OSError(f"{folder / name} has more than {limit} bytes")
    return content


def write(folder: Path, name: str, text: str, *, mode: int = 0o666) -> None:
    """Write a file into a folder, in the place of whatever has its name there; ``mode`` is as of ``open(2)``.

    Raises:
        OSError: it can't be written; a folder has its name.
    """
    with _opened(folder) as place:
        part = f".{name}.{secrets.token_hex(8)}"
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=place)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(part, name, src_dir_fd=place, dst_dir_fd=place)
        except BaseException:
            os.unlink(part, dir_fd=place)
            raise


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, or what else has its name; what links name stays.

    Raises:
        OSError: it can't be removed.
    """
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder)  # follows no link (shutil.rmtree.avoids_symlink_attacks)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)
