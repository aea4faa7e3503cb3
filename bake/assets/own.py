"""Files and folders of this user's own, in a folder that others may write to: no link of theirs is followed."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path


def open_own(path: Path) -> FileIO:
    """Open a file to be read and appended to; it is made where there is none.

    Raises:
        OSError: it is a link, no regular file, somebody else's, has a second name, or can't be opened.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe is refused, not waited for
    file = os.fdopen(os.open(path, flags, 0o644), "a+b", buffering=0)
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink > 1:
        file.close()
        raise _not_own(path)
    return file


def write_own(path: Path, text: str) -> None:
    """Write a file in place of what has its name; whoever reads it finds the one or the other.

    Raises:
        OSError: it can't be written.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with new.open("x", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def make_own_folder(path: Path) -> None:
    """Make a folder where there is none.

    Raises:
        OSError: it is a link, no folder, somebody else's, or can't be made.
    """
    path.mkdir(parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise _not_own(path)


def _not_own(path: Path) -> OSError:
    return OSError(errno.EPERM, "it is a link, or not this user's own", str(path))
