"""Writes files under their absolute path below another folder, with the mode and owner of what they replace.

The folders on the way get the mode and owner of the originals too, so that copying the tree over the image's
root changes nothing but the files.
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
    _make_folders(out, os.path.dirname(path))
    target.write_bytes(content)
    if os.path.exists(path):
        _copy_owner_and_mode(path, target)
    return target


def _make_folders(out: Path, folder: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for original in [*reversed(Path(folder).parents), Path(folder)]:
        target = below(out, str(original))
        if not target.exists():
            target.mkdir()
            if original.is_dir():
                _copy_owner_and_mode(str(original), target)


def _copy_owner_and_mode(original: str, target: Path) -> None:
    found = os.stat(original)
    shutil.copymode(original, str(target))
    try:
        os.chown(str(target), found.st_uid, found.st_gid)
    except PermissionError:  # not root: the file stays the caller's
        return
    os.chmod(str(target), stat.S_IMODE(found.st_mode))  # chown clears set-id bits
