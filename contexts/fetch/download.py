"""Fetches files, each held to its SHA-256, several at a time; or one from a folder where it already lies.

    python -m fetch.download --file NAME --sha256 HEX --host-folder DIR --out DIR URL...

Every address goes through the table of mirrors. A download that broke off goes on where it did, in another build too:
what is under way stands in a cache by its hash, and nothing is taken from there without being hashed.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import hashlib
import http.client
import json
import netrc
import os
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MIRRORS = Path("/run/secrets/mirrors")
CACHE = Path("/cache")
LIST = Path("/files.json")
ATTEMPTS = 4
AT_A_TIME = 8
BLOCK = 1 << 20
TIMEOUT = 60
MOST_BYTES = 32 << 30  # of a file whose size nobody says
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Wanted:
    """A file to fetch.

    Args:
        name: a plain file name. urls: where it is, the first that has it counts. sha256: None: whatever comes.
        size: in bytes, where somebody says it. ours: recipe or place name these addresses, and no stranger.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str | None
    size: int | None = None
    ours: bool = True


def main() -> None:
    """Fetch, or take what lies there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", required=True, help="name of the file")
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--host-folder", type=Path, help="where the file may lie already")
    parser.add_argument("--link", action="store_true", help="link to what lies there, in place of a copy")
    parser.add_argument("--out", type=Path, required=True, help="where the file is put")
    parser.add_argument("urls", nargs="+", metavar="URL")
    options = parser.parse_args()
    lying = options.host_folder / options.file if options.host_folder else None
    if lying is not None and lying.is_file():
        require(lying, options.sha256)
        options.out.mkdir(parents=True, exist_ok=True)
        if options.link:
            (options.out / options.file).symlink_to(lying)
        else:
            shutil.copyfile(lying, options.out / options.file)
        print(f"fetch: {options.file} is taken from the host's assets", flush=True)
        return
    fetch_all([Wanted(options.file, tuple(options.urls), options.sha256)], options.out)


def fetch_all(wanted: Sequence[Wanted], out: Path) -> dict[str, str]:
    """Fetch files to a folder; gives the SHA-256 of each by its name. Ends the program where one can't be had."""
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        outcomes = {entry.name: pool.submit(_outcome, entry, out) for entry in wanted}
    found = {name: outcome.result() for name, outcome in outcomes.items()}
    failures = [reason for _, reason in found.values() if reason]
    if failures:
        sys.exit("fetch: " + "\n".join(failures))
    return {name: digest for name, (digest, _) in found.items()}


def write_list(files: Mapping[str, str], path: Path | None = None) -> None:
    """Write which files were fetched: a JSON object, SHA-256 by name."""
    (path or LIST).write_text(json.dumps(dict(sorted(files.items())), indent=1) + "\n", encoding="utf-8")


def _outcome(wanted: Wanted, out: Path) -> tuple[str, str]:
    """Fetch a file; gives its SHA-256, or why it can't be had."""
    reasons = []
    for url in wanted.urls:
        address = mirrored(url)
        try:
            digest = _fetch_one(wanted, address, out / wanted.name, login=_may_log_in(wanted, url, address))
        except (OSError, EOFError, ValueError) as error:
            reasons.append(f"{shown(address)}: {error}")
            continue
        print(f"fetch: {wanted.name} from {shown(address)}, SHA-256 {digest}\n", end="", flush=True)  # one write
        return digest, ""
    return "", "\n".join(reasons)


def _may_log_in(wanted: Wanted, url: str, address: str) -> bool:
    """Tell whether the place's login may go to an address.

    A stranger may name any server, and netrc may have a login for all: it goes where the table of mirrors leads.
    """
    return wanted.ours or (address != url and any(below(address, to) for _, to in table()))


def below(url: str, place: str) -> bool:
    """Tell whether an address is on the server of a place, and below it."""
    try:
        if origin(url) != origin(place):
            return False
    except ValueError:
        return False
    folder = urllib.parse.urlsplit(place).path.rstrip("/")
    return urllib.parse.urlsplit(url).path.startswith(f"{folder}/")


def _fetch_one(wanted: Wanted, url: str, target: Path, *, login: bool) -> str:
    """Put a file in place by way of the cache; one that nobody knows the hash of has no place there."""
    if wanted.sha256 is None:
        fetch(url, target, login=login, size=wanted.size)
        return _sha256(target)
    CACHE.mkdir(parents=True, exist_ok=True)
    whole, part = CACHE / wanted.sha256, CACHE / f"{wanted.sha256}.part"
    with _alone(CACHE / f"{wanted.sha256}.lock"):
        while True:
            from_cache = whole.exists() or part.exists()
            if not whole.exists():
                fetch(url, part, login=login, size=wanted.size)
                part.replace(whole)
            try:
                return _place(whole, target, wanted.sha256)
            except ValueError:
                whole.unlink()
                if not from_cache:
                    raise


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other builds off a file of the cache meanwhile."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _place(source: Path, target: Path, sha256: str) -> str:
    """Copy a file of the cache, and hold what was copied to its checksum.

    Raises:
        ValueError: it has another.
    """
    digest = hashlib.sha256()
    with source.open("rb") as opened, target.open("wb") as out:
        for block in iter(lambda: opened.read(BLOCK), b""):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != sha256:
        target.unlink()
        raise ValueError(f"its SHA-256 is {digest.hexdigest()}, expected {sha256}")
    return sha256


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


def shown(url: str) -> str:
    """Leave out of an address what may be secret: user, password, query."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "an address that is none"
    return parts._replace(
        netloc=parts.netloc.rpartition("@")[2], query="…" if parts.query else "", fragment=""
    ).geturl()


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to web servers alone, without the login unless to the same one."""

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
    """Give scheme, host and port of an address.

    Raises:
        ValueError: it is no address of the web: a page may name a file of this machine.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{shown(url)} is no address of a web server")
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def fetch(url: str, target: Path, *, login: bool = True, size: int | None = None) -> None:
    """Download, going on where an earlier attempt broke off; ``login``: with what netrc has for the host.

    Raises:
        OSError: the server refused, or every attempt broke off. ValueError: it is larger than anybody said.
    """

    def go_on() -> None:
        try:
            _fetch_rest(url, target, login=login, most=MOST_BYTES if size is None else size)
        except urllib.error.HTTPError as error:
            if error.code != 416:  # noqa: PLR2004 - what is there is no beginning of it
                raise
            target.unlink(missing_ok=True)
            error.close()
            raise EOFError(str(error)) from None

    retried(target.name, go_on)


def retried(name: str, ask: Callable[[], _Answer]) -> _Answer:
    """Ask a server until it answers, some times.

    Raises:
        OSError: it refused, or every attempt broke off. ValueError: the address is none.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return ask()
        except urllib.error.HTTPError as error:
            if error.code < 500:  # noqa: PLR2004 - the server's last word
                raise
            error.close()
            reason: Exception = error
        except http.client.InvalidURL as error:
            raise ValueError(str(error)) from error
        except (OSError, EOFError, http.client.HTTPException) as error:
            reason = error
        print(f"fetch: {name}: attempt {attempt} broke off: {reason}", flush=True)
        time.sleep(attempt)
    raise OSError(f"{ATTEMPTS} attempts broke off, the last one by: {reason}")


def _fetch_rest(url: str, target: Path, *, login: bool, most: int) -> None:
    """Append what is missing of the file.

    Raises:
        OSError, EOFError, HTTPException: it broke off. ValueError: more comes than there may be.
    """
    have = target.stat().st_size if target.exists() else 0
    request = urllib.request.Request(url, headers=headers(url, login=login))  # noqa: S310 - the scheme is checked there
    if have:
        request.add_header("Range", f"bytes={have}-")
    with opened(request) as answer:
        resumed = answer.status == 206  # noqa: PLR2004 - partial content
        length = answer.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else None
        with target.open("ab" if resumed else "wb") as out:
            for block in iter(lambda: answer.read(BLOCK), b""):
                out.write(block)
                if out.tell() > most:
                    break
    found = target.stat().st_size
    if found > most:
        target.unlink()
        raise ValueError(f"more than {most:,} bytes come")
    if total is not None and found < total:
        raise EOFError(f"{found:,} of {total:,} bytes")


def headers(url: str, *, login: bool = True) -> dict[str, str]:
    """Give the request's headers, with the credentials that netrc has for the host."""
    found = {"User-Agent": "image-uplift"}
    host, file = origin(url)[1], os.environ.get("NETRC")
    if login and file and Path(file).is_file():
        known = netrc.netrc(file).authenticators(host or "")
        if known:
            pair = base64.b64encode(f"{known[0]}:{known[2]}".encode()).decode()
            found["Authorization"] = f"Basic {pair}"
    return found


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        for block in iter(lambda: opened.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def require(file: Path, sha256: str) -> None:
    """Hold a file to its checksum; ends the program where it has another."""
    found = _sha256(file)
    if found != sha256:
        sys.exit(f"fetch: {file.name}: its SHA-256 is {found}, expected {sha256}")


if __name__ == "__main__":
    main()
