"""A file that is still coming: appended to, hashed as it grows, locked, and given its name only when it is right."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bake.assets.own import make_own_folder, open_own, write_own
from bake.errors import EnvironmentUnfit

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the bytes so far came from, and what tells that the source has not changed (RFC 9110, 13.1.5).

    ``source`` is the SHA-256 of the address, which may hold a token: others may read the file.
    """

    source: str
    etag: str = ""
    last_modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """What to send as If-Range: a strong ETag, or the date; "" when the server gave neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    @staticmethod
    def read(path: Path) -> Origin | None:
        """Read it from beside the part; None when there is none."""
        try:
            return Origin(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


class Part:
    """The unfinished file, open and locked; a context manager.

    Raises:
        EnvironmentUnfit: another fetch is at work on it, or it can't be written, or is not this user's own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._origin_path = path.with_name(f"{path.name}.json")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open_own(path)
        except OSError as error:
            raise _unfit(error, path) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise EnvironmentUnfit(
                "another fetch is at work on this file", where=str(path), remedy="wait for it, then run this again"
            ) from None
        self.size = os.fstat(self._file.fileno()).st_size
        self.origin = Origin.read(self._origin_path)
        self._hash: hashlib._Hash | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()
        if not self.size and self.path.exists():
            self.path.unlink()
            self._origin_path.unlink(missing_ok=True)

    def come_from(self, origin: Origin) -> None:
        """Note where the bytes come from, so that a later run can go on."""
        if origin != self.origin:
            write_own(self._origin_path, json.dumps(asdict(origin), indent=2) + "\n")
            self.origin = origin

    def append(self, block: bytes) -> None:
        """Add bytes at the end."""
        self._hashed().update(block)
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) or 0 :]
        self.size += len(block)

    def restart(self) -> None:
        """Forget what has come."""
        self._file.truncate(0)
        self.size = 0
        self._hash = None

    def digest(self) -> str:
        """SHA-256 of what has come; bytes of an earlier run are read once."""
        return self._hashed().hexdigest()

    def finish(self, target: Path) -> None:
        """Give the file its final name; it is on the disk before it has it.

        Raises:
            EnvironmentUnfit: the folder for it is not this user's own.
        """
        os.fsync(self._file.fileno())
        try:
            make_own_folder(target.parent)
        except OSError as error:
            raise _unfit(error, target) from error
        os.fchmod(self._file.fileno(), 0o644)
        self.path.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._file.close()
        self._origin_path.unlink(missing_ok=True)

    def _hashed(self) -> hashlib._Hash:
        if self._hash is None:
            self._hash = hashlib.sha256()
            if self.size:
                with self.path.open("rb") as earlier:
                    while block := earlier.read(_BLOCK):
                        self._hash.update(block)
        return self._hash


def _unfit(error: OSError, path: Path) -> EnvironmentUnfit:
    return EnvironmentUnfit(
        f"the assets folder can't be written: {error.strerror}",
        where=str(error.filename or path.parent),
        remedy="choose another folder with --assets-dir, or mend what is named",
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_locked(path: Path) -> bool:
    """Tell whether a fetch is at work on a part."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
