"""Lays out what is compiled: the one archive or tree of an extension, with the local version that its wheel gets.

Standard library only; runs inside a compile target, on the frozen image's Python.
"""

from __future__ import annotations

import configparser
import shutil
import sys
import tarfile
from pathlib import Path


def unpack(folder: Path, work: Path, *, commit: str | None = None) -> Path:
    """Unpack the one archive of a folder below ``work``, a fixed place: the compiler cache sees the same paths.

    A tree is copied there. An archive made by git names its commit in its header; ``commit`` is held against it.
    """
    archives = sorted(folder.iterdir())
    if len(archives) != 1:
        sys.exit(f"compile.py: expected one source archive, found {[path.name for path in archives]}")
    if archives[0].is_dir():
        return Path(shutil.copytree(archives[0], work / archives[0].name, symlinks=True))
    work.mkdir()
    with tarfile.open(archives[0]) as archive:
        said = archive.pax_headers.get("comment") if archive.getmembers() else None
        if commit and said != commit:
            sys.exit(f"compile.py: {archives[0].name} is of commit {said}, and the recipe asks for {commit}")
        if hasattr(tarfile, "data_filter"):
            archive.extractall(work, filter="data")
        else:
            archive.extractall(work)
    (top,) = work.iterdir()
    return top


def mark_local(source: Path, local: str) -> None:
    """Have setuptools add a local part to the version: the build is bound to a stack, and says so."""
    file = source / "setup.cfg"
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(file, encoding="utf-8")
    if not settings.has_section("egg_info"):
        settings.add_section("egg_info")
    settings.set("egg_info", "tag_build", f"+{local}")
    settings.set("egg_info", "tag_date", "0")
    with file.open("w", encoding="utf-8") as opened:
        settings.write(opened)
