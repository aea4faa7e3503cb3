"""Where an image comes from: repository and revision of its recipe, for the OCI labels.

https://github.com/opencontainers/image-spec/blob/main/annotations.md; variables of GitHub Actions and GitLab CI as
their documentation names them.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SCP = re.compile(r"(?:[^@/\s]+@)?([^:/\s]+):(?!//)(\S+)")  # git@host:path
_TIMEOUT = 5  # seconds


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
    # A file that git does not keep, as in a virtual environment within some repository, is not described by it.
    if not _git(recipe, "ls-files", "--error-unmatch", recipe.name):
        return Origin()
    revision = _git(recipe, "rev-parse", "HEAD")
    changed = revision and _git(recipe, "status", "--porcelain", "--", recipe.name)
    return Origin(
        source=public(_git(recipe, "remote", "get-url", "origin")),
        revision=f"{revision}-dirty" if changed else revision,
    )


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


def _git(recipe: Path, *arguments: str) -> str:
    """Ask git in the recipe's folder; "" when there is no git, no repository, or no answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(recipe.absolute().parent), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
