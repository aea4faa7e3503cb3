"""One command at a time in a build folder: its contexts, report and record are those of one bake."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from bake import untrusted
from generator.render.write import MARKER, refuse_foreign, unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What is written beside its place, and moved there when it is whole; a name that differs is somebody else's.
_PART = re.compile(r"\.render-[a-z0-9_]{8}|\.(mirrors\.txt|results\.json)\.[0-9a-f]{16}")


@contextmanager
def held(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a build folder, so that no other command writes into it; one that does is waited for.

    The lock is the kernel's, on the marker, and gone with whoever held it. What a command left half-written that was
    killed is removed.

    Args:
        say: is told that another command is waited for.

    Raises:
        UsageError, EnvironmentUnfit: as for ``generator.render.write_folder``.
    """
    refuse_foreign(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        marker = _locked(folder / MARKER, say)
    except OSError as error:
        raise unwritable(error, folder) from error
    with marker:
        for path in [entry for entry in folder.iterdir() if _PART.fullmatch(entry.name)]:
            with suppress(OSError):
                untrusted.remove(path)
        yield


def _locked(path: Path, say: Callable[[str], None]) -> TextIO:
    """Open a file and lock it; where it was removed while it was waited for, the one that is there by then."""
    while True:
        file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another command is at work in {path.parent}, and is waited for; -o gives this one its own folder")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # a file system without locks
                raise
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()
