"""Where an image comes from: repository and revision of its recipe, for the OCI labels.

https://github.com/opencontainers/image-spec/blob/main/annotations.md; variables of GitHub Actions and GitLab CI as
their documentation names them.
"""

from __future__ import annotations

import os
import re
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SCP = re.compile(r"(?:[^@/\s]+@)?([^:/\s]+):(?!//)(\S+)")  # git@host:path


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A repository's address and a revision in it; "" where it is not known."""

    source: str = ""
    revision: str = ""


def origin_of(recipe: Path, environ: Mapping[str, str]) -> Origin:
    """Say where a recipe comes from: what CI says it builds, else the git repository that keeps the recipe's file.

    Args:
        recipe: the file. environ: the environment.
    """
    if environ.get("GITHUB_REPOSITORY") and environ.get("GITHUB_SHA"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        return Origin(source=public(f"{server}/{environ['GITHUB_REPOSITORY']}"), revision=environ["GITHUB_SHA"])
    if environ.get("CI_PROJECT_URL") and environ.get("CI_COMMIT_SHA"):
        return Origin(source=public(environ["CI_PROJECT_URL"]), revision=environ["CI_COMMIT_SHA"])
    try:
        return _of_repository(recipe.resolve())
    except Exception:  # noqa: BLE001 - whatever a repository holds, for want of a label no bake ends
        return Origin()


def _of_repository(file: Path) -> Origin:
    """Read what the repository around a file says of it; no origin where no commit keeps the file.

    It may be somebody else's: git would run what its configuration names (fsmonitor, filters, aliases), even to tell a
    status. So objects and refs are read here, and of the configuration the remote's address alone.
    """
    from dulwich.config import ConfigFile
    from dulwich.object_store import DiskObjectStore
    from dulwich.objects import Blob, Commit, Tree
    from dulwich.refs import HEADREF, DiskRefsContainer

    tree = next((folder for folder in file.parents if (folder / ".git").exists()), None)
    if tree is None or not _ours(tree, tree / ".git"):
        return Origin()
    own, shared = _folders(tree / ".git")
    if not _ours(own, shared):
        return Origin()
    with closing(DiskObjectStore(shared / "objects")) as objects:
        head = DiskRefsContainer(shared, own)[HEADREF]
        commit = objects[head]
        root = objects[commit.tree] if isinstance(commit, Commit) else None
        if not isinstance(root, Tree):
            return Origin()
        _, name = root.lookup_path(objects.__getitem__, os.fsencode(file.relative_to(tree)))
        kept = objects[name]
        changed = not isinstance(kept, Blob) or kept.data != file.read_bytes()
    address = b""
    with suppress(KeyError):
        address = ConfigFile.from_path(shared / "config", expand_includes=False).get((b"remote", b"origin"), b"url")
    revision = head.decode("ascii")
    return Origin(source=public(address.decode()), revision=f"{revision}-dirty" if changed else revision)


def _folders(git: Path) -> tuple[Path, Path]:
    """Give the folder of a working tree, and the one that it shares with others (gitrepository-layout)."""
    if git.is_file():
        git = git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir: ").rstrip("\r\n")
    common = git / "commondir"
    return git, git / common.read_text(encoding="utf-8").rstrip("\r\n") if common.is_file() else git


def _ours(*folders: Path) -> bool:
    """Tell whether folders are this user's own; git reads no others either (safe.directory)."""
    return all(folder.stat().st_uid == os.geteuid() for folder in folders)


def public(address: str) -> str:
    """Give a remote's address without user names and passwords; "" for one that is a path of this machine."""
    address = address.strip()
    if "://" not in address:
        match = _SCP.fullmatch(address)
        return f"ssh://{match[1]}/{match[2].lstrip('/')}" if match else ""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https", "ssh", "git"):
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
