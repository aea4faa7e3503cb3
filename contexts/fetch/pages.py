"""Pages of links: what an index has of a project. PEP 503, PEP 691.

    python -m fetch.pages --sdist NAME --version V --sha256 HEX --out DIR

Fetches the sdist of a version, by its content. A page that can't be read is an error always, so that no outage passes
for a file that is not there.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import html.parser
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from . import download

if TYPE_CHECKING:
    from collections.abc import Iterator

UV = "/tools/uv"
GONE = "what to do: `lock --upgrade` locks what there is now"
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
MOST_BYTES = 128 << 20  # of a page
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Link:
    """A file on a page: its name, its address, what the page says of its content, and the page's address."""

    name: str
    url: str
    sha256: str | None
    size: int | None
    page: str

    def wanted(self, sha256: str | None = None) -> download.Wanted:
        """Give what is to be fetched, held to the page's checksum or the given one."""
        # A page may name any server, and netrc knows no ports: a login goes where the page is from.
        ours = download.origin(self.url) == download.origin(download.mirrored(self.page))
        return download.Wanted(self.name, (self.url,), sha256 or self.sha256, self.size, ours)


class Anchors(html.parser.HTMLParser):
    """Collects the addresses of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an anchor's address."""
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.found.append(address)


def indexes(own: str | None = None) -> tuple[str, ...]:
    """Give the addresses of the indexes in the order in which they are asked: the stack's, then the default one."""
    mirror = download.mirrored("pypi")
    return (*((own,) if own else ()), default_index() if mirror == "pypi" else mirror)


@functools.cache
def default_index() -> str:
    """Give the index that uv asks where nobody names another: what it resolves is looked up there."""
    command = [UV, "pip", "compile", "--no-config", "--offline", "--no-header", "--quiet", "--emit-index-url"]
    command += ["--python", sys.executable, "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    option, _, address = done.stdout.strip().partition(" ")
    if option != "--index-url":
        sys.exit(f"fetch: uv does not say which index it asks by default: {done.stdout}")
    return address


def project(index: str, name: str) -> list[Link]:
    """List what an index has of a project; nothing where it has no such."""
    page = f"{index.rstrip('/')}/{normal(name)}/"
    try:
        return links(page)
    except urllib.error.HTTPError as error:
        if error.code in (403, 404):  # a store of files says 403 of what it does not have
            return []
        raise


def links(page: str) -> list[Link]:
    """Read a page of links.

    Raises:
        OSError: it can't be read. ValueError: it is none.
    """
    url = download.mirrored(page)
    request = urllib.request.Request(url, headers={**download.headers(url), "Accept": ACCEPT})  # noqa: S310 - checked

    def ask() -> tuple[bytes, str, str]:
        with download.opened(request) as answer:
            content = answer.read(MOST_BYTES + 1)
            length = int(answer.headers.get("Content-Length") or 0)
            if len(content) < min(length, MOST_BYTES):
                raise EOFError(f"{len(content):,} of {length:,} bytes")
            return content, answer.headers.get("Content-Type", ""), answer.geturl()

    content, kind, found_at = download.retried(download.shown(url), ask)
    base = page if found_at == url else found_at  # it was moved: so are its links
    if len(content) > MOST_BYTES:
        raise ValueError(f"{download.shown(url)} has more than {MOST_BYTES:,} bytes")
    text = content.decode("utf-8", "replace")
    found = _of_json(text, page, base) if "json" in kind else _of_html(text, page, base)
    return [link for link in found if "/" not in link.name and link.name.isprintable()]


def _of_json(text: str, page: str, base: str) -> Iterator[Link]:
    try:
        files = json.loads(text)["files"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{download.shown(page)} is no page of an index: {error!r}") from error
    for file in files:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            size = file.get("size")
            yield _link(page, urljoin(base, file["url"]), str(file["filename"]), file["hashes"].get("sha256"), size)


def _of_html(text: str, page: str, base: str) -> Iterator[Link]:
    anchors = Anchors()
    try:
        anchors.feed(text)
    except AssertionError as error:  # html.parser's word for a declaration that it can't read
        raise ValueError(f"{download.shown(page)} is no page of an index: {error}") from error
    for address in anchors.found:
        with contextlib.suppress(ValueError):
            plain, _, fragment = address.partition("#")
            name = unquote(urlsplit(plain).path.rsplit("/", 1)[-1])
            yield _link(page, urljoin(base, plain), name, _sha256_of(fragment), None)


def _sha256_of(fragment: str) -> str | None:
    return fragment[len("sha256=") :] if fragment.startswith("sha256=") else None


def _link(page: str, url: str, name: str, sha256: Any, size: Any) -> Link:
    """Make a link.

    Raises:
        ValueError: it leads to no web server, or its checksum is none.
    """
    download.origin(url)
    if sha256 is not None and not _SHA256.fullmatch(str(sha256)):
        raise ValueError(f"{name}: {sha256!r} is no SHA-256")
    return Link(name, url, sha256, size if isinstance(size, int) else None, page)


def normal(name: str) -> str:
    """Give a package's normal name. PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def must_project(index: str, name: str) -> list[Link]:
    """List what an index has of a project; ends the program where nobody can tell."""
    try:
        return project(index, name)
    except (OSError, ValueError) as error:
        sys.exit(f"fetch: {download.shown(download.mirrored(index))} can't be read for {name}: {error}")


def listed(name: str, sha256: str, own: str | None) -> Link:
    """Find a file by its name and content; ends the program where no index has it."""
    package = name.partition("-")[0]
    for index in indexes(own):
        for link in must_project(index, package):
            if link.name == name and link.sha256 in (None, sha256):
                return link
    sys.exit(f"fetch: {name} with the SHA-256 {sha256} is on no index any more\n{GONE}")


def sdist(package: str, version: str, sha256: str) -> Link:
    """Find the sdist of a version with this content; ends the program where no index has it."""
    for index in indexes():
        for link in must_project(index, package):
            if _is_sdist(link.name, package, version) and link.sha256 in (None, sha256):
                return link
    sys.exit(f"fetch: no index has an sdist of {package} {version} with the SHA-256 {sha256}")


def _is_sdist(file: str, package: str, version: str) -> bool:
    stem, ending, rest = file.partition(".tar.gz")
    return bool(ending) and not rest and normal(stem) == normal(f"{package}-{version}")


def main() -> None:
    """Fetch an sdist."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdist", required=True, metavar="NAME")
    parser.add_argument("--version", required=True)
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = sdist(options.sdist, options.version, options.sha256)
    download.fetch_all([found.wanted(options.sha256)], options.out)


if __name__ == "__main__":
    main()
