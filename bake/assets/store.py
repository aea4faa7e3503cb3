"""The folder of fetched assets.

For an asset NAME and the first 12 hexadecimal digits K of its address's SHA-256 it holds:

- ``NAME-K/FILE``      the file, whole and checked; alone in its folder, which can so be a build context;
- ``NAME-K.json``      its hash, and the size, time and inode it had when it was checked: while these stay, the hash
                       holds, and nobody reads gigabytes again;
- ``NAME-K.part``      what has come of a file so far, with ``NAME-K.part.json``: where it comes from.

A file that a person puts into the folder itself under its name, ``FILE``, is taken when its hash is right.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bake.address import shown
from bake.assets.own import make_own_folder, write_own
from bake.assets.part import Origin, digest_of, is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bake.assets.request import Request


class State(str, Enum):
    """What is on this machine of an asset."""

    FETCHED = "fetched"  # whole and checked
    UNCHECKED = "unchecked"  # a file is there that changed since it was checked, or another hash is wanted
    PARTIAL = "partial"
    ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was checked: the hash, and what tells that the file is still the same."""

    url: str
    file: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something of an asset on this machine: all its files, and the bytes they take."""

    name: str
    files: tuple[Path, ...]
    size: int


class Store:
    """The folder of fetched assets; it is made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def folder_of(self, request: Request) -> Path:
        """The folder that holds the asset's file and nothing else."""
        return self.folder / request.key

    def path_of(self, request: Request) -> Path:
        """The asset's file, whether it is there or not."""
        return self.folder_of(request) / request.file

    def part_of(self, request: Request) -> Path:
        """What has come of the file so far."""
        return self.folder / f"{request.key}.part"

    def by_hand(self, request: Request) -> Path:
        """Where a person can put the file."""
        return self.folder / request.file

    def state(self, request: Request) -> State:
        """Tell what is there; reads a few hundred bytes, never the file."""
        path = self.path_of(request)
        record = self.record(request)
        if path.is_file():
            same = record is not None and record == _seen(path, record)
            right = record is not None and request.sha256 in (None, record.sha256)
            return State.FETCHED if same and right else State.UNCHECKED
        return State.PARTIAL if _size(self.part_of(request)) else State.ABSENT

    def record(self, request: Request) -> Record | None:
        """What was checked last; None when nothing was."""
        return _read(self._record_of(request))

    def check(self, request: Request) -> str:
        """Read the file, note what it is, and give its SHA-256; the caller compares."""
        path = self.path_of(request)
        found = digest_of(path)
        self.note(request, found)
        return found

    def note(self, request: Request, sha256: str) -> Record:
        """Note that the file was checked and has this hash."""
        status = self.path_of(request).stat()
        record = Record(
            url=shown(request.url),
            file=request.file,
            sha256=sha256,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
        )
        write_own(self._record_of(request), json.dumps(asdict(record), indent=2) + "\n")
        return record

    def adopt(self, request: Request) -> str | None:
        """Take a file that a person put into the folder, when it is the right one; it keeps its name there too.

        Returns:
            its SHA-256, whether it was taken or is a wrong one; None: there is none, or nobody knows which is right.

        Raises:
            OSError: the folder can't be written.
        """
        candidate = self.by_hand(request)
        if request.sha256 is None or not candidate.is_file():
            return None
        found = digest_of(candidate)
        if found == request.sha256:
            make_own_folder(self.folder_of(request))
            new = self.folder / f"{request.key}.{os.getpid()}.new"
            _link(candidate.resolve(), new)
            new.replace(self.path_of(request))
            self.note(request, found)
        return found

    def parts(self) -> Iterator[Leftover]:
        """List unfinished downloads that no fetch is at work on."""
        for origin in self._listed("*.part.json"):
            part = origin.with_suffix("")
            if Origin.read(origin) is not None and not is_locked(part):
                yield _leftover(part.name, (part, origin))

    def fetched(self) -> Iterator[Leftover]:
        """List what was fetched and checked: the file, its folder, its record."""
        for file in self._listed("*.json"):
            record = _read(file)
            if record is not None:
                folder = file.with_suffix("")
                yield _leftover(folder.name, (folder / record.file, folder, file))

    def _listed(self, pattern: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(pattern) if path.is_file())

    def _record_of(self, request: Request) -> Path:
        return self.folder / f"{request.key}.json"


def _link(file: Path, new: Path) -> None:
    """Give a file a second name; where it lies on another disk, copy it."""
    new.unlink(missing_ok=True)
    try:
        os.link(file, new)
    except OSError:
        with file.open("rb") as source, new.open("xb") as copy:
            shutil.copyfileobj(source, copy)


def _seen(path: Path, record: Record) -> Record:
    status = path.stat()
    size, mtime_ns, inode = status.st_size, status.st_mtime_ns, status.st_ino
    return Record(**{**asdict(record), "size": size, "mtime_ns": mtime_ns, "inode": inode})


def _read(path: Path) -> Record | None:
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return record if os.path.basename(record.file) == record.file else None  # noqa: PTH119 - a name, not a path


def _leftover(name: str, files: tuple[Path, ...]) -> Leftover:
    there = tuple(path for path in files if path.exists())
    return Leftover(name=name, files=there, size=sum(_size(path) for path in there if path.is_file()))


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
