"""Writes files under their absolute path below another folder, with the mode and owner of what they replace.

The folders on the way get the mode and owner of the originals too, so that copying the tree over the image's root
changes nothing but the files. All keep the originals' times, so that the same content makes the same layer; Python
does not take an old ``.pyc`` for a patched file, since it also compares the size.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def below(out: Path, path: str) -> Path:
    """Where an absolute path lies below `out`."""
    return out / path.lstrip("/")


def place(out: Path, path: str, content: bytes) -> Path:
    """Write `content` below `out` at the absolute `path`, like the file that is there now; returns the new path."""
    target = below(out, path)
    folders = [str(folder) for folder in reversed(Path(path).parents)][1:]
    out.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        if not below(out, folder).exists():
            below(out, folder).mkdir(exist_ok=True)  # others may be placing beside it
            _copy_owner_and_mode(folder, below(out, folder))
    target.write_bytes(content)
    _copy_owner_and_mode(path, target)
    for name in [path, *reversed(folders)]:
        if os.path.exists(name):
            times = os.stat(name)
            os.utime(str(below(out, name)), ns=(times.st_mtime_ns, times.st_mtime_ns))
    return target


def _copy_owner_and_mode(original: str, target: Path) -> None:
    if not os.path.exists(original):
        return
    found = os.stat(original)
    shutil.copymode(original, str(target))
    try:
        os.chown(str(target), found.st_uid, found.st_gid)
    except PermissionError:  # not root: the file stays the caller's
        return
    os.chmod(str(target), stat.S_IMODE(found.st_mode))  # chown clears set-id bits
