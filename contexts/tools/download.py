"""Fetches one pinned file to a folder, or takes it from a folder where it already lies; checks its SHA-256.

    python download.py --file NAME --sha256 HEX --host-folder DIR --out DIR URL...

Every address goes through the table of mirrors. An interrupted download is resumed; the addresses are tried in
order. Runs inside a build, on the frozen image's Python (3.8 and later), with its standard library only.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import netrc
import os
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

MIRRORS = Path("/run/secrets/mirrors")
ATTEMPTS = 4
BLOCK = 1 << 20
TIMEOUT = 60


def main() -> None:
    """Fetch, or take what lies there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", required=True, help="name of the file")
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--host-folder", type=Path, help="where the file may lie already")
    parser.add_argument("--out", type=Path, required=True, help="where the file, or a link to it, is put")
    parser.add_argument("urls", nargs="+", metavar="URL")
    options = parser.parse_args()
    target = options.out / options.file
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = expected(options.sha256, options.urls)
    lying = options.host_folder / options.file if options.host_folder else None
    if lying is not None and lying.is_file():
        require(lying, wanted)
        target.symlink_to(lying)
        print(f"download.py: {options.file} is taken from the host's assets", flush=True)
        return
    reasons = []
    for url in options.urls:
        try:
            fetch(mirrored(url), target)
            require(target, wanted)
        except (OSError, ValueError) as error:
            reasons.append(f"{shown(mirrored(url))}: {error}")
            target.unlink(missing_ok=True)
            continue
        print(f"download.py: {options.file} from {shown(mirrored(url))}", flush=True)
        return
    sys.exit("download.py: " + "\n".join(reasons))


def table() -> list[tuple[str, str]]:
    """Read the rows of the table of mirrors; none without one."""
    if not MIRRORS.is_file():
        return []
    rows = (line.split() for line in MIRRORS.read_text(encoding="utf-8").splitlines())
    return [(row[0], row[1]) for row in rows if len(row) == 2]  # noqa: PLR2004 - prefix and replacement


def mirrored(url: str) -> str:
    """Give the address that a mirror has for a file."""
    for prefix, replacement in table():
        if url.startswith(prefix):
            return replacement + url[len(prefix) :]
    return url


def expected(sha256: str, urls: list[str]) -> str:
    """Give the checksum to hold the file to: the place's own where its table has one, for a mirror that repacks."""
    own = {prefix: value for prefix, value in table() if prefix.startswith("sha256:")}
    return next((own[f"sha256:{url}"] for url in urls if f"sha256:{url}" in own), sha256)


def shown(url: str) -> str:
    """Leave out of an address what may be secret: user, password, query."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(
        netloc=parts.netloc.rpartition("@")[2], query="…" if parts.query else "", fragment=""
    ).geturl()


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects without the login, unless to the same server."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Make the request that follows."""
        moved = super().redirect_request(req, fp, code, msg, headers, newurl)
        if moved is not None and origin(newurl) != origin(req.full_url):
            moved.remove_header("Authorization")
        return moved


def opened(request: urllib.request.Request) -> Any:
    """Send a request."""
    return urllib.request.build_opener(Redirects).open(request, timeout=TIMEOUT)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Give scheme, host and port of an address."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def fetch(url: str, target: Path, *, login: bool = True) -> None:
    """Download, going on where an earlier attempt broke off; ``login``: with what netrc has for the host.

    Raises:
        OSError: the server refused, or every attempt broke off.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            fetch_rest(url, target, login=login)
        except urllib.error.HTTPError as error:
            if error.code < 500:  # noqa: PLR2004 - the server's last word
                raise
            reason: Exception = error
        except (OSError, EOFError) as error:
            reason = error
        else:
            return
        print(f"download.py: attempt {attempt} broke off: {reason}", flush=True)
        time.sleep(attempt)
    raise OSError(f"{ATTEMPTS} attempts broke off")


def fetch_rest(url: str, target: Path, *, login: bool) -> None:
    """Append what is missing of the file.

    Raises:
        OSError, EOFError: it broke off.
    """
    have = target.stat().st_size if target.exists() else 0
    request = urllib.request.Request(url, headers=headers(url, login=login))  # noqa: S310 - the recipe's address
    if have:
        request.add_header("Range", f"bytes={have}-")
    with opened(request) as answer:
        resumed = answer.status == 206  # noqa: PLR2004 - partial content
        length = answer.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else None
        with target.open("ab" if resumed else "wb") as out:
            shutil.copyfileobj(answer, out, BLOCK)
    if total is not None and target.stat().st_size < total:
        raise EOFError(f"{target.stat().st_size:,} of {total:,} bytes")


def headers(url: str, *, login: bool = True) -> dict[str, str]:
    """Give the request's headers, with the credentials that netrc has for the host."""
    found = {"User-Agent": "image-uplift"}
    file = os.environ.get("NETRC")
    if login and file and Path(file).is_file():
        known = netrc.netrc(file).authenticators(urllib.parse.urlsplit(url).hostname or "")
        if known:
            pair = base64.b64encode(f"{known[0]}:{known[2]}".encode()).decode()
            found["Authorization"] = f"Basic {pair}"
    return found


def require(file: Path, sha256: str) -> None:
    """Hold a file to its checksum.

    Raises:
        ValueError: it has another.
    """
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        for block in iter(lambda: opened.read(BLOCK), b""):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise ValueError(f"its SHA-256 is {digest.hexdigest()}, expected {sha256}")


if __name__ == "__main__":
    main()
