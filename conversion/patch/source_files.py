"""The files below some folders that may hold source, and those that can't be looked at, each with the reason.

Nothing below a root is passed over in silence: a link that leads out of the roots, a FIFO, socket or device, a folder
or file that can't be read and one that is too large are each named. Only what is no source goes without a word:
binary data, prose (`PROSE`), and large files of other kinds without torch's name.
"""

from __future__ import annotations

import os
import stat
import zipfile
from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple

LARGEST = 2_000_000  # bytes of one file: a larger one is data, or was generated
PROSE = (".md", ".rst", ".txt", ".html", ".htm", ".css", ".svg")
ARCHIVES = (".egg", ".whl", ".zip", ".pyz", ".pex")
PIECES = 1_000  # MiB of a file of another kind that are searched for torch's name
BINARY = 8_000  # bytes at the start of a file: a NUL among them says that it is no text, and no source
_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


@dataclass(frozen=True)
class SourceFile:
    """A file below a root.

    Attributes:
        path: where it is; of a link that leads out of the roots, the link.
        python: whether it is Python: by its name, or by its first line.
        source: its bytes; None where it can't be looked at.
        reason: why it can't be.
        link: what the link leads to that is below no root; None for a file that is.
    """

    path: str
    python: bool = False
    source: Optional[bytes] = None
    reason: Optional[str] = None
    link: Optional[str] = None


def below(roots: Sequence[str]) -> Iterator[SourceFile]:
    """The files below the roots (real paths) that may hold source, each once, sorted by path below each root."""
    seen = set()
    for root in roots:
        for path, reason in _paths(root, roots):
            real = os.path.realpath(path)
            if reason is not None:
                yield SourceFile(path, reason=reason)
            elif real not in seen:
                outside = os.path.islink(path) and not is_below(real, roots)
                if os.path.islink(path) and not outside and os.path.exists(real):
                    continue  # it comes under its own name
                if not outside:
                    seen.add(real)
                yield from look_at(path, real if outside else None)


def is_below(path: str, roots: Sequence[str]) -> bool:
    """Whether a real path is one of the roots or below one."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


def _paths(root: str, roots: Sequence[str]) -> Iterator[Tuple[str, Optional[str]]]:
    """Every path below a root that is no folder; with the reason where it links to a folder outside of the roots."""
    for path, reason in entries(root) if os.path.isdir(root) else [(root, None)]:
        if reason is None and os.path.islink(path) and os.path.isdir(path):
            real = os.path.realpath(path)
            if not is_below(real, roots):
                yield path, f"a link to the folder {real}, which is below no root"
        else:
            yield path, reason


def entries(root: str, left: Sequence[str] = ()) -> List[Tuple[str, Optional[str]]]:
    """Every path below a folder that is no folder itself, sorted, links as what they are; however deep it is.

    Args:
        root: the folder.
        left: folders that aren't gone into.

    Returns:
        Path and None, or the path of a folder that can't be read and why.
    """
    found: List[Tuple[str, Optional[str]]] = []
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if is_below(folder, left):
            continue
        try:
            with os.scandir(folder) as listed:
                for entry in listed:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        found.append((entry.path, None))
        except OSError as error:
            found.append((folder, f"a folder that can't be read: {error.strerror or error}"))
    return sorted(found)


def look_at(path: str, link: Optional[str] = None) -> Iterator[SourceFile]:
    """A file's bytes and kind, or why it can't be looked at; nothing of one that holds no source. Never waits."""
    try:
        status = os.stat(path)
        for is_kind, kind in _KINDS:
            if is_kind(status.st_mode):
                yield SourceFile(path, reason=kind, link=link)
                return
        with open(path, "rb") as opened:
            source = opened.read(BINARY)
            python = path.endswith((".py", ".pyw")) or _is_script(source)
            no_source = not python and (path.lower().endswith(PROSE) or b"\0" in source)
            source += b"" if no_source else opened.read(max(0, LARGEST + 1 - len(source)))
    except OSError as error:
        to = f"a link to {os.readlink(path)} that " if os.path.islink(path) else ""
        yield SourceFile(path, reason=f"{to}can't be read: {error.strerror or error}", link=link)
        return
    sealed = _sealed(path)
    if sealed is not None:
        yield SourceFile(path, reason=sealed, link=link)
    elif no_source:
        return
    elif len(source) <= LARGEST:
        yield SourceFile(path, python, source, link=link)
    elif python or _mentions_torch(path):
        yield SourceFile(path, python, reason=f"larger than {LARGEST:,} bytes", link=link)


def _mentions_torch(path: str) -> bool:
    """Whether a large file of another kind has torch's name in it, or is too large to tell."""
    before = b""
    try:
        with open(path, "rb") as opened:
            for _ in range(PIECES):
                piece = opened.read(1 << 20)
                if b"torch" in before[-10:] + piece:
                    return True
                if not piece:
                    return False
                before = piece
    except OSError:
        pass
    return True


def _is_script(source: bytes) -> bool:
    first = source[:200].partition(b"\n")[0]
    return first.startswith(b"#!") and b"python" in first


def _sealed(path: str) -> Optional[str]:
    """Why the Python in a file can't be looked at: an archive of it, or a compiled file whose source isn't there."""
    folder, name = os.path.split(path)
    if name.endswith(".pyc") and os.path.basename(folder) != "__pycache__" and not os.path.exists(path[:-1]):
        return "compiled Python without its source"
    if name.endswith(ARCHIVES):
        try:
            with zipfile.ZipFile(path) as archive:
                inside = any(item.endswith((".py", ".pyc")) for item in archive.namelist())
        except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
            return None
        return "an archive with Python in it, which isn't looked into" if inside else None
    return None
