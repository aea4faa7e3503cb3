"""Fetches the prebuilt wheel of a version from a page of links: the one that fits an environment, or that is locked.

    python -m fetch.prebuilt --page URL --package NAME --version V --inventory FILE --out DIR [--optional]
    python -m fetch.prebuilt --page URL --package NAME --version V --inventory FILE --locked FILE --out DIR

With ``--optional`` a page without a wheel that fits is no error: DIR stays empty, and the caller compiles. A page that
can't be read is an error always, so that no outage turns into a compile.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import download
from .choice import best, require_installable, tags_of, wheels_of
from .environment import read
from .pages import GONE, Link, links, normal

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> None:
    """Fetch the wheel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", required=True)
    parser.add_argument("--package", required=True)
    parser.add_argument("--version", required=True, help="with its local part")
    parser.add_argument("--inventory", type=Path, required=True, help="of the environment")
    parser.add_argument("--locked", type=Path, help="the files to fetch: JSON, SHA-256 by name")
    parser.add_argument("--optional", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        every = links(options.page)
    except (OSError, ValueError) as error:
        sys.exit(f"fetch: {download.shown(download.mirrored(options.page))} can't be read: {error}")
    fitting = wheels_of(every, options.package, options.version)
    options.out.mkdir(parents=True, exist_ok=True)
    environment = read(options.inventory)
    if options.locked:
        files = json.loads(options.locked.read_text(encoding="utf-8"))
        require_installable(files, environment)
        wanted = _locked(fitting, files, options.page)
    else:
        usable = best(fitting, tags_of(environment))
        wanted = [usable.wanted()] if usable else []
    if not wanted:
        near = sorted({link.name for link in every if normal(link.name.partition("-")[0]) == normal(options.package)})
        said = f"no wheel of {options.package} {options.version} for this Python on {download.shown(options.page)}"
        said = f"fetch: {said}; it has {', '.join(near[-6:]) or 'none of that name'}"
        if not options.optional:
            sys.exit(said)
        print(f"{said}: it will be compiled", flush=True)
    download.write_list(download.fetch_all(wanted, options.out))


def _locked(fitting: Sequence[Link], files: dict[str, str], page: str) -> list[download.Wanted]:
    by_name = {link.name: link for link in fitting}
    for name in files:
        if name not in by_name:
            sys.exit(f"fetch: {name} is no longer on {download.shown(page)}\n{GONE}")
    return [by_name[name].wanted(sha256) for name, sha256 in files.items()]


if __name__ == "__main__":
    main()
