"""Looks on a page of links for the wheel of a version that this Python can install, and fetches it.

    python prebuilt.py --page URL --package NAME --version V --out DIR [--optional]

Leaves the wheel in DIR. With ``--optional`` a page without a wheel that fits is no error: DIR stays empty, and the
caller compiles. A page that can't be read is an error always, so that no outage turns into a compile. The page and
the links on it go through the table of mirrors. Runs inside a build, on the frozen image's Python.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import html.parser
import importlib
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, "/tools")
import download  # type: ignore[import-not-found]  # stands in /tools

if TYPE_CHECKING:
    from collections.abc import Iterator


class Links(html.parser.HTMLParser):
    """Collects the addresses of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an anchor's address."""
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.found.append(address)


def main() -> None:
    """Find the wheel and fetch it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", required=True)
    parser.add_argument("--package", required=True)
    parser.add_argument("--version", required=True, help="with its local part")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--optional", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    links = Links()
    links.feed(read(options.page))
    every = list(addresses(options.page, links.found))
    fitting = [link for link in every if fits(name_of(link), options.package, options.version)]
    usable = best(fitting)
    if usable is None:
        near = sorted({name_of(link) for link in every if same_name(name_of(link), options.package)})[-6:]
        said = f"prebuilt.py: no wheel of {options.package} {options.version} for this Python"
        said += f" on {download.shown(options.page)}; it has {', '.join(near) or 'none of that name'}"
        if not options.optional:
            sys.exit(said)
        print(f"{said}: it will be compiled", flush=True)
        return
    target = options.out / name_of(usable)
    address, _, fragment = usable.partition("#")
    url, page = download.mirrored(address), download.mirrored(options.page)
    # A page may name any server, and netrc knows no ports: a login goes where the page is from, or the table leads.
    try:
        download.fetch(url, target, login=url != address or download.origin(url) == download.origin(page))
        if fragment.startswith("sha256="):
            download.require(target, fragment[len("sha256=") :])
    except (OSError, ValueError) as error:
        sys.exit(f"prebuilt.py: {download.shown(url)}: {error}")
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    print(f"prebuilt.py: {target.name}, {target.stat().st_size:,} bytes, SHA-256 {digest}", flush=True)


def read(page: str) -> str:
    """Read the page of links."""
    url = download.mirrored(page)
    request = urllib.request.Request(url, headers=download.headers(url))  # noqa: S310 - the recipe's address
    try:
        with download.opened(request) as answer:
            content: bytes = answer.read()
    except OSError as error:
        sys.exit(f"prebuilt.py: {download.shown(url)} can't be read: {error}")
    return content.decode("utf-8", "replace")


def addresses(page: str, links: list[str]) -> Iterator[str]:
    """Give the full address of each link, without those that are no address."""
    for link in links:
        with contextlib.suppress(ValueError):
            address = urllib.parse.urljoin(page, link)
            download.origin(address)
            yield address


def name_of(link: str) -> str:
    """Give the file name at the end of an address."""
    return urllib.parse.unquote(urllib.parse.urlsplit(link).path.rsplit("/", 1)[-1])


def same_name(file: str, package: str) -> bool:
    """Tell whether a wheel is of a package, whatever its hyphens."""
    return file.endswith(".whl") and normal(file.split("-", 1)[0]) == normal(package)


def fits(file: str, package: str, version: str) -> bool:
    """Tell whether a file is a wheel of that package and version."""
    parts = file[: -len(".whl")].split("-")
    plain = "/" not in file and file.isprintable()
    return plain and same_name(file, package) and len(parts) >= 5 and parts[1].lower() == version.lower()  # noqa: PLR2004


def normal(name: str) -> str:
    """Give a package's normal name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def best(links: list[str]) -> str | None:
    """Choose the wheel whose tags this Python puts first, as pip does."""
    try:
        tags_of: Any = importlib.import_module("packaging.tags")
    except ImportError:
        tags_of = importlib.import_module("pip._vendor.packaging.tags")
    ranks = {tag: rank for rank, tag in enumerate(tags_of.sys_tags())}
    ranked = []
    for link in links:
        tags = tags_of.parse_tag("-".join(name_of(link)[: -len(".whl")].split("-")[-3:]))
        known = [ranks[tag] for tag in tags if tag in ranks]
        if known:
            ranked.append((min(known), link))
    return min(ranked)[1] if ranked else None


if __name__ == "__main__":
    main()
