"""How one file tree differs from another: what a layer that turns the first into the second has to hold.

Trees are the mounted file systems of two images, of which the second grew out of the first. A file whose inode and
change time are the same in both is the same file, unread; that is so on an overlay, whose layers both share. Any other
pair is compared by metadata and then by content. Times count, since they are part of a layer.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

# Mounted over by the engine while a step runs: no layer holds them, and no step can write them.
MOUNTED = frozenset(("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"))
_BLOCK = 1 << 20
_Inode = Tuple[int, int]


@dataclass
class Difference:
    """What the second tree has that the first has not; paths count from the top, which is "".

    Attributes:
        files: what is no folder and is new or changed: path → size in bytes; only regular files have one.
        folders: folders that are new, or whose owner, mode, time or attributes changed; parents first.
        removed: what has to go, with all below it, before anything else is placed.
        links: sets of paths that are one file, each sorted; only those with changed members, which are all in files.
    """

    files: Dict[str, int] = field(default_factory=dict)
    folders: List[str] = field(default_factory=list)
    removed: List[str] = field(default_factory=list)
    links: List[Tuple[str, ...]] = field(default_factory=list)


def compare(old: str, new: str) -> Difference:
    """Compare two trees, given by the folders that they are mounted at."""
    comparison = _Comparison(old, new)
    comparison.folder("", known=True)
    return comparison.finished()


def attributes(path: str) -> Dict[str, bytes]:
    """Read the extended attributes that a layer keeps: capabilities, and those of users."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        kept = sorted(name for name in names if name == "security.capability" or name.startswith("user."))
        return {name: os.getxattr(path, name, follow_symlinks=False) for name in kept}
    except OSError:  # the file system has none
        return {}


class _Comparison:
    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        self._found = Difference()
        self._linked_before: Dict[_Inode, List[str]] = {}
        self._linked: Dict[_Inode, List[str]] = {}
        self._sizes: Dict[str, int] = {}

    def folder(self, path: str, *, known: bool) -> None:
        """Compare one folder and all below it; ``known``: the first tree has a folder there too."""
        before = _entries(os.path.join(self._old, path)) if known else {}
        now = _entries(os.path.join(self._new, path))
        if not known or not self._same(path, os.lstat(os.path.join(self._old, path)), os.lstat(self._at(path))):
            self._found.folders.append(path)
        for name in sorted({*before, *now}):
            below = os.path.join(path, name)
            if below not in MOUNTED:
                self._entry(below, before.get(name), now.get(name))

    def _entry(self, path: str, old: Optional[os.stat_result], new: Optional[os.stat_result]) -> None:
        was_folder = old is not None and stat.S_ISDIR(old.st_mode)
        is_folder = new is not None and stat.S_ISDIR(new.st_mode)
        if old is not None and (new is None or was_folder != is_folder):
            self._found.removed.append(path)
            old = None
        if old is not None and stat.S_ISREG(old.st_mode) and old.st_nlink > 1:
            self._linked_before.setdefault((old.st_dev, old.st_ino), []).append(path)
        if new is None:
            return
        if is_folder:
            self.folder(path, known=old is not None)
            return
        if stat.S_ISREG(new.st_mode):
            self._sizes[path] = new.st_size
            if new.st_nlink > 1:
                self._linked.setdefault((new.st_dev, new.st_ino), []).append(path)
        if old is None or not self._same(path, old, new):
            self._found.files[path] = self._sizes.get(path, 0)

    def finished(self) -> Difference:
        """Complete what was found: whoever shares a changed file, or shares it anew, is changed."""
        before = {tuple(paths) for paths in self._linked_before.values()}
        for paths in self._linked.values():
            if len(paths) > 1 and (tuple(paths) not in before or any(path in self._found.files for path in paths)):
                self._found.links.append(tuple(paths))
                self._found.files.update((path, self._sizes[path]) for path in paths)
        self._found.links.sort()
        return self._found

    def _at(self, path: str) -> str:
        return os.path.join(self._new, path)

    def _same(self, path: str, old: os.stat_result, new: os.stat_result) -> bool:
        if _kept(old) != _kept(new):
            return False
        if (old.st_ino, old.st_ctime_ns) == (new.st_ino, new.st_ctime_ns):
            return True
        one, other = os.path.join(self._old, path), self._at(path)
        if attributes(one) != attributes(other):
            return False
        if stat.S_ISLNK(new.st_mode):
            return os.readlink(one) == os.readlink(other)
        return not stat.S_ISREG(new.st_mode) or _same_content(one, other)


def _kept(status: os.stat_result) -> Tuple[int, ...]:
    """What a layer keeps of a file's status; a folder's size and a link's count are no part of it."""
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev, size


def _entries(folder: str) -> Mapping[str, os.stat_result]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat(follow_symlinks=False) for entry in entries}


def _same_content(one: str, other: str) -> bool:
    with open(one, "rb") as left, open(other, "rb") as right:
        return all(block == right.read(_BLOCK) for block in _blocks(left.fileno())) and not right.read(1)


def _blocks(descriptor: int) -> Iterator[bytes]:
    while True:
        block = os.read(descriptor, _BLOCK)
        if not block:
            return
        yield block
