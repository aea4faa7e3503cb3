"""Puts a rendered folder in place: written beside it first, moved when complete, stale files gone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bake.errors import EnvironmentUnfit, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = ".image-uplift"
_OWNED = ("docker-bake.hcl", "contexts")


def write_folder(files: Mapping[PurePosixPath, bytes], folder: Path) -> None:
    """Write the files into a folder, which then holds exactly these contexts and this bake file.

    Unchanged files are left alone, so that their times stay and BuildKit sends nothing again. What a bake
    adds beside them (results, the verification report) stays.

    Raises:
        UsageError: the folder holds something that this software did not write.
        EnvironmentUnfit: the folder can't be written.
    """
    refuse_foreign(folder)
    try:
        if _holds_exactly(files, folder):
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()  # first: whoever comes after an end in the middle knows whose this is
        _replace(files, folder)
    except OSError as error:
        raise unwritable(error, folder) from error


def unwritable(error: OSError, folder: Path) -> EnvironmentUnfit:
    """Say why a build folder can't be written."""
    return EnvironmentUnfit(
        f"the build folder can't be written: {error.strerror or error}",
        where=str(error.filename or folder),
        remedy="choose another folder with -o, or mend its permissions and space",
    )


def refuse_foreign(folder: Path) -> None:
    """Leave a folder alone that holds something that this software did not write.

    Raises:
        UsageError: it does.
    """
    if not folder.exists() or (folder / MARKER).exists():
        return
    if not folder.is_dir():
        raise UsageError("the build folder is a file", where=str(folder), remedy="choose another folder with -o")
    if any(folder.iterdir()):
        raise UsageError(
            "the folder is not empty and was not written by this software; nothing was changed",
            where=str(folder),
            remedy="choose another folder with -o, or empty this one",
        )


def _holds_exactly(files: Mapping[PurePosixPath, bytes], folder: Path) -> bool:
    if not (folder / MARKER).exists():
        return False
    present = {
        PurePosixPath(path.relative_to(folder).as_posix())
        for owned in _OWNED
        for path in ((folder / owned), *(folder / owned).rglob("*"))
        if path.is_file()
    }
    return present == set(files) and all((folder / path).read_bytes() == files[path] for path in files)


def _replace(files: Mapping[PurePosixPath, bytes], folder: Path) -> None:
    staging = Path(tempfile.mkdtemp(prefix=".render-", dir=folder))
    try:
        for path, content in files.items():
            target = staging / path
            target.parent.mkdir(parents=True, exist_ok=True)
            old = folder / path
            if old.is_file() and old.read_bytes() == content:
                shutil.copy2(old, target)  # the time stays, so BuildKit does not send it again
            else:
                target.write_bytes(content)
        for owned in _OWNED:
            retired = staging / f"{owned}.old"
            if (folder / owned).exists():
                (folder / owned).rename(retired)
            (staging / owned).rename(folder / owned)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
