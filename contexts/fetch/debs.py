"""Fetches packages of the frozen image's distribution, with what they depend on and the image lacks.

    python -m fetch.debs --base DIR --out DIR PACKAGE...
    python -m fetch.debs --base DIR --locked FILE --out DIR

apt of the fetcher's image resolves with the sources, the keys and the list of packages of the frozen image, which are
read as data: no configuration of its apt, which can name programs, and no link that leads out of it. Sources on web
servers alone count. Which files came, with their SHA-256, is written to ``/files.json``: that list fetches them again.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import stat
import subprocess
import sys
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from . import download
from .pages import GONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_BYTES = 64 << 20  # of a file of the image that is read
MOST_LINKS = 20
_WORD = re.compile(r"[\w.:~+/@%=-]+")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_ARCHITECTURE = re.compile(r"[a-z0-9]{2,16}")
_DEB = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)_(?P<version>[\w.+~%-]+)_(?P<architecture>[a-z0-9]{2,16})\.deb")
_PRINTED = re.compile(r"'(?P<uri>[^']+)' (?P<name>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{16,64}!?")
_KEPT = ("trusted", "check-valid-until")  # beside the keys: how far the image itself trusts a source
_KEYS = (".gpg", ".asc")


class Image:
    """The files of an image, by their paths in it; links are followed as the image would, and never out of it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def real(self, path: PurePosixPath | str) -> Path | None:
        """Give the place of a path; None where there is nothing."""
        waiting = [part for part in reversed(PurePosixPath(path).parts) if part != "/"]
        place, links = self._root, 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                place = place if place == self._root else place.parent
                continue
            found = place / part
            try:
                mode = found.lstat().st_mode
            except OSError:
                return None
            if not stat.S_ISLNK(mode):
                place = found
                continue
            links += 1
            if links > MOST_LINKS:
                return None
            target = PurePosixPath(found.readlink())
            place = self._root if target.is_absolute() else place
            waiting += [part for part in reversed(target.parts) if part != "/"]
        return place

    def read(self, path: PurePosixPath | str) -> bytes | None:
        """Read a regular file; None where there is none. Ends the program where it is too large."""
        place = self.real(path)
        if place is None or not stat.S_ISREG(place.lstat().st_mode):
            return None
        with place.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            sys.exit(f"fetch: {path} of the frozen image has more than {MOST_BYTES:,} bytes")
        return content

    def text(self, path: PurePosixPath | str) -> str:
        """Read a text; "" where there is none."""
        return (self.read(path) or b"").decode("utf-8", "replace")

    def files(self, folder: str, *suffixes: str) -> list[PurePosixPath]:
        """List the files of a folder with one of these endings, by name."""
        place = self.real(folder)
        if place is None or not place.is_dir():
            return []
        names = sorted(entry.name for entry in place.iterdir())
        return [PurePosixPath(folder, name) for name in names if name.endswith(suffixes)]


@dataclass(frozen=True)
class Source:
    """Where packages come from: addresses, suites, components, and options by their names in small letters."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: Mapping[str, str]


def sources_of(image: Image) -> Iterator[Source]:
    """Read the image's sources of binary packages, of both formats. sources.list(5)."""
    for path in (PurePosixPath("/etc/apt/sources.list"), *image.files("/etc/apt/sources.list.d", ".list")):
        for line in image.text(path).splitlines():
            yield from _of_line(line.partition("#")[0].strip())
    for path in image.files("/etc/apt/sources.list.d", ".sources"):
        for stanza in re.split(r"\n[ \t]*\n", image.text(path)):
            yield from _of_stanza(stanza)


def _of_line(line: str) -> Iterator[Source]:
    found = re.fullmatch(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>.*)", line)
    if found:
        options = dict(pair.partition("=")[::2] for pair in (found["options"] or "").split())
        yield Source((found["uri"],), (found["suite"],), tuple(found["rest"].split()), options)


def _of_stanza(stanza: str) -> Iterator[Source]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            fields[name] = f"{fields.get(name, '')}\n{line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in ("no", "false", "0"):
        uris, suites, components = (tuple(fields.get(key, "").split()) for key in ("uris", "suites", "components"))
        yield Source(uris, suites, components, fields)


def write_sources(image: Image, folder: Path) -> set[str]:
    """Write sources and keys for apt; gives the addresses that mirrors of this place stand in for.

    Ends the program where the image has no source on a web server.
    """
    stanzas, ours = [], set()
    for source in sources_of(image):
        words = (*source.uris, *source.suites, *source.components)
        web = [uri for uri in source.uris if _is_web(uri)]
        if not web or not source.suites or not all(map(_WORD.fullmatch, words)):
            print(f"fetch: this source of the frozen image is left out: {' '.join(words)!r}", flush=True)
            continue
        used = [download.mirrored(uri) for uri in web]
        ours |= {to for to in {*used} - {*web} if any(download.below(f"{to}/", place) for _, place in download.table())}
        lines = ["Types: deb", f"URIs: {' '.join(used)}", f"Suites: {' '.join(source.suites)}"]
        lines += [f"Components: {' '.join(source.components)}"] if source.components else []
        lines += [
            f"{key.title()}: {value}"
            for key in _KEPT
            if (value := source.options.get(key, "").lower()) in ("yes", "no")
        ]
        keys = list(_keys(image, source.options.get("signed-by", ""), folder))
        stanzas.append("\n".join([*lines, *([f"Signed-By: {' '.join(keys)}"] if keys else [])]) + "\n")
    if not stanzas:
        sys.exit("fetch: the frozen image names no source of packages on a web server in /etc/apt")
    (folder / "image.sources").write_text("\n".join(stanzas), encoding="utf-8")
    trusted = folder / "trusted"
    trusted.mkdir()
    for path in (PurePosixPath("/etc/apt/trusted.gpg"), *image.files("/etc/apt/trusted.gpg.d", *_KEYS)):
        content = image.read(path)
        if content:
            (trusted / f"{len(list(trusted.iterdir()))}{path.suffix}").write_bytes(content)
    return ours


def _is_web(uri: str) -> bool:
    try:
        download.origin(uri)
    except ValueError:
        return False
    return True


def _keys(image: Image, signed_by: str, folder: Path) -> Iterator[str]:
    """Copy the keys that a source names, or holds; fingerprints stay as they are."""
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    if "BEGIN PGP" in signed_by:
        place = keys / f"{len(list(keys.iterdir()))}.asc"
        place.write_text("\n".join("" if line == "." else line for line in signed_by.strip().splitlines()) + "\n")
        yield str(place)
        return
    for name in re.split(r"[\s,]+", signed_by):
        content = image.read(name) if name.startswith("/") and name.endswith(_KEYS) else None
        if content:
            place = keys / f"{len(list(keys.iterdir()))}{PurePosixPath(name).suffix}"
            place.write_bytes(content)
            yield str(place)
        elif _FINGERPRINT.fullmatch(name):
            yield name


def architecture(status: str) -> str:
    """Give the architecture of an image by that of its dpkg; ends the program where there is none."""
    stanza = f"\n{status}\n".partition("\nPackage: dpkg\n")[2].partition("\n\n")[0]
    found = re.search(r"^Architecture: (\S+)$", stanza, re.MULTILINE)
    if not found or not _ARCHITECTURE.fullmatch(found[1]):
        sys.exit("fetch: the frozen image has no packages of dpkg: its compiler can't be installed by apt")
    return found[1]


def apt(image: Image, folder: Path) -> list[str]:
    """Lay out a state of apt for an image; gives the command that uses it."""
    status = image.read("/var/lib/dpkg/status") or b""
    own = architecture(status.decode("utf-8", "replace"))
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").write_bytes(status)
    settings = {
        "APT::Architecture": own,
        "APT::Architectures::": own,
        "APT::Install-Recommends": "false",
        "Acquire::ForceHash": "SHA256",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
        "Dir::Cache": str(folder / "cache"),
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::sourcelist": str(folder / "image.sources"),
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": str(folder / "trusted"),
        "Dir::State": str(folder / "state"),
        "Dir::State::status": str(folder / "status"),
    }
    return ["apt-get", "--yes", *(f"--option={key}={value}" for key, value in settings.items())]


def find(command: list[str], asked: list[str], ours: set[str]) -> list[download.Wanted]:
    """Have apt say what it would fetch; ends the program with what it says where it can't."""
    done = subprocess.run([*command, "--print-uris", *asked], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        remedy = f"\n{GONE}" if asked[0] == "download" else ""
        sys.exit(f"fetch: apt-get can't: {shlex.join(asked)}{remedy}")
    rows = (_PRINTED.match(line) for line in done.stdout.splitlines() if line.startswith("'"))
    return [
        download.Wanted(
            row["name"],
            (row["uri"],),
            row["sha256"],
            int(row["size"]),
            ours=any(download.below(row["uri"], place) for place in ours),
        )
        for row in rows
        if row and _DEB.fullmatch(row["name"])
    ]


def pinned(file: str) -> str:
    """Give what apt calls the package of a file: ``g++_4%3a12.2.0-3_amd64.deb`` is ``g++:amd64=4:12.2.0-3``."""
    found = _DEB.fullmatch(file)
    if not found:
        sys.exit(f"fetch: {file!r} is no name of a package's file")
    return f"{found['name']}:{found['architecture']}={urllib.parse.unquote(found['version'])}"


def main() -> None:
    """Fetch the packages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="the frozen image's files")
    parser.add_argument("--locked", type=Path, help="the files to fetch: JSON, SHA-256 by name")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE")
    options = parser.parse_args()
    locked: dict[str, str] = json.loads(options.locked.read_text(encoding="utf-8")) if options.locked else {}
    asked = ["download", *map(pinned, locked)] if options.locked else ["install", *options.packages]
    if len(asked) == 1:
        download.write_list({})
        options.out.mkdir(parents=True, exist_ok=True)
        return
    image = Image(options.base)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)  # apt reads and fetches as a user of its own
        ours = write_sources(image, folder)
        command = apt(image, folder)
        subprocess.run([*command, "update"], check=False)
        wanted = find(command, asked, ours)
    changed = [entry.name for entry in wanted if options.locked and locked.get(entry.name) != entry.sha256]
    missing = sorted(locked.keys() - {entry.name for entry in wanted})
    if changed or missing:
        sys.exit(f"fetch: no source has these as they are locked: {', '.join([*changed, *missing])}\n{GONE}")
    download.write_list(download.fetch_all(wanted, options.out))


if __name__ == "__main__":
    main()
