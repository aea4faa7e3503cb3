"""Files on this machine: the build folder, unfinished and fetched assets."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit
from bake.leftovers.leftover import Kind, Leftover

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bake.assets import Leftover as AssetFiles
    from bake.assets import Store

KEPT = "--assets removes it"


def find_folder(folder: Path, *, marker: str, owned: tuple[str, ...]) -> Iterator[Leftover]:
    """List a build folder that carries the marker: only what this software writes there is counted and removed."""
    if not (folder / marker).is_file():
        return

    def paths() -> list[Path]:
        # A link there is somebody's own doing: what it points at is not touched.
        return [path for name in owned if (path := folder / name).exists() and not path.is_symlink()]

    def remove() -> int:
        found = paths()  # a bake may have been waited for since it was listed
        size = _size(found)
        _remove(found)
        _remove([folder / marker])  # last: an interrupted removal can be done again
        with suppress(OSError):
            folder.rmdir()
        return size

    yield Leftover(kind=Kind.FOLDER, name=str(folder), size=_size(paths()), why="rendered and reported", remove=remove)


def find_assets(store: Store, *, fetched: bool) -> Iterator[Leftover]:
    """List unfinished downloads, and fetched assets, which stay unless they are asked for."""
    for part in store.parts():
        yield _asset(Kind.PART, part, why="the download was interrupted", kept="")
    for asset in store.fetched():
        yield _asset(Kind.ASSET, asset, why="fetched and checked", kept="" if fetched else KEPT)


def _asset(kind: Kind, files: AssetFiles, *, why: str, kept: str) -> Leftover:
    def remove() -> int:
        plain = [path for path in files.files if not path.is_dir()]
        _remove(plain)
        for folder in (path for path in files.files if path.is_dir()):
            with suppress(OSError):
                folder.rmdir()
        return files.size

    return Leftover(kind=kind, name=files.name, size=files.size, why=why, kept=kept, remove=remove)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise EnvironmentUnfit(
                f"it can't be removed: {error.strerror or error}", where=str(path), remedy="mend its permissions"
            ) from error


def _size(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        inner = path.rglob("*") if path.is_dir() else (path,)
        total += sum(file.lstat().st_size for file in inner if file.is_symlink() or file.is_file())
    return total
