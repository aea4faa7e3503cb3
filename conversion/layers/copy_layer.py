"""Places one part of the difference between two images: content, owners, modes, times, attributes and links.

    python -m conversion.layers.copy_layer --parts parts.json --from NEW --part K [--to /]

NEW is the mounted file system that files are taken from. The first part also removes what has to go and makes every new
folder. A folder that was written to gets its time back, so that the last part leaves a tree that is NEW's. A part that
`conversion.layers.assign` did not need changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
from typing import Any, Iterable, Optional, Sequence, Set

from conversion import failures
from conversion.layers.trees import attributes

_CHUNK = 1 << 30


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Read the parts and place one."""
    parser = argparse.ArgumentParser(prog="python -m conversion.layers.copy_layer")
    parser.add_argument("--parts", required=True)
    parser.add_argument("--from", dest="source", required=True)
    parser.add_argument("--part", required=True, type=int, help="the number of the part, from 1")
    parser.add_argument("--to", default="/")
    given = parser.parse_args(arguments)
    with open(given.parts, encoding="ascii") as file:
        parts: Any = json.load(file)
    placing = Placing(given.source, given.to)
    pieces = parts["parts"][given.part - 1] if given.part <= len(parts["parts"]) else []
    try:
        if given.part == 1:
            placing.remove(parts["removed"])
            placing.make(parts["folders"])
        for paths in pieces:
            placing.put(*paths)
        placing.settle()
    except OSError as error:
        raise failures.ConversionError(f"part {given.part} can't be placed: {error}") from error
    print(f"part {given.part} of {len(parts['parts'])}: {len(pieces)} files, {placing.copied / (1 << 20):.1f} MiB")
    return 0


class Placing:
    """Turns one tree into another, step by step; ``copied`` counts bytes of content."""

    def __init__(self, source: str, to: str) -> None:
        self._source, self._to = source, to
        self._touched: Set[str] = set()
        self.copied = 0

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files, and folders with all below them."""
        for path in paths:
            target = os.path.join(self._to, path)
            if os.path.isdir(target) and not os.path.islink(target):
                shutil.rmtree(target)
            else:
                os.unlink(target)
            self._touched.add(os.path.dirname(path))

    def make(self, folders: Iterable[str]) -> None:
        """Make folders that are not there yet, parents first; `settle` gives them what they should have."""
        for path in folders:
            target = os.path.join(self._to, path)
            if not os.path.isdir(target):
                os.mkdir(target)
                self._touched.add(os.path.dirname(path))
            self._touched.add(path)

    def put(self, path: str, *links: str) -> None:
        """Copy what is no folder, in the place of what is there, and link the others to it."""
        source, target = os.path.join(self._source, path), os.path.join(self._to, path)
        for one in (path, *links):
            if os.path.lexists(os.path.join(self._to, one)):
                os.unlink(os.path.join(self._to, one))
            self._touched.add(os.path.dirname(one))
        status = os.lstat(source)
        if stat.S_ISREG(status.st_mode):
            copy_content(source, target)
            self.copied += status.st_size
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source), target)
        else:
            os.mknod(target, status.st_mode, status.st_rdev)
        copy_status(source, target, status)
        for link in links:
            os.link(target, os.path.join(self._to, link))

    def settle(self) -> None:
        """Give every folder that was written to the owner, mode, times and attributes that it should have."""
        for path in sorted(self._touched, reverse=True):
            source = os.path.join(self._source, path)
            # A folder that is in both trees may be removed with its parent, or be a file now.
            if os.path.isdir(source) and not os.path.islink(source):
                copy_status(source, os.path.join(self._to, path), os.lstat(source))


def copy_content(source: str, target: str) -> None:
    """Copy a file's content inside the kernel; a file system that can share blocks does not even copy."""
    with open(source, "rb", buffering=0) as reader, open(target, "xb", buffering=0) as writer:
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), _CHUNK):
                pass
        except (AttributeError, OSError):  # not on this system, or not between these file systems
            reader.seek(0)
            writer.seek(0)
            shutil.copyfileobj(reader, writer, 1 << 20)


def copy_status(source: str, target: str, status: os.stat_result) -> None:
    """Give a file the owner, mode, attributes and times of another; in that order, since an owner takes from a mode."""
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    wanted = attributes(source)
    for name in attributes(target):
        if name not in wanted:
            os.removexattr(target, name, follow_symlinks=False)
    for name, value in wanted.items():
        os.setxattr(target, name, value, follow_symlinks=False)
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


if __name__ == "__main__":
    failures.run(main)
