"""Where a CI job gets this program from, if nobody says: where this one came from, where that is an address.

A name is no answer: whoever registers it at the package index that a runner asks, gets to run there. Pip notes the
address that it was given (PEP 610, ``direct_url.json``); a git address has its commit, an archive its hash.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import urlsplit

from bake.errors import UsageError

_PROGRAM = "image-uplift"


def installed_from() -> str:
    """Give what pip installs the same program from, anywhere.

    Raises:
        UsageError: it is installed from a folder or file of this machine, or by its name.
    """
    try:
        noted = distribution(_PROGRAM).read_text("direct_url.json")
    except PackageNotFoundError:
        noted = None
    found = _address(json.loads(noted)) if noted else ""
    if not found:
        raise UsageError(
            "it is not known where a runner gets this program from",
            where="--requirement",
            remedy="give a git address with a commit (git+https://HOST/REPOSITORY@COMMIT), the address of a wheel, or "
            "a path in the repository; a name (image-uplift==VERSION) only where the runner's index is your own",
        )
    return found


def _address(noted: dict[str, Any]) -> str:
    """Write an address as a requirement; "" for one that only this machine has, is not pinned or holds a password."""
    url, vcs, archive = str(noted["url"]), noted.get("vcs_info"), noted.get("archive_info")
    parts = urlsplit(url)
    if "subdirectory" in noted or parts.scheme not in ("https", "http", "ssh") or parts.password:
        return ""
    if vcs:
        return f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    hashes = (archive or {}).get("hashes") or {}
    return f"{url}#sha256={hashes['sha256']}" if "sha256" in hashes else ""
