"""Every file of an image that holds device code, and the package that each belongs to. Nothing found is run."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Optional, Set, Tuple

from conversion.environment.inventory import normalise
from conversion.failures import ConversionError
from conversion.verify.fatbin import DeviceCode, device_code

_LIBRARY = re.compile(r"\.so(\.[0-9.]+)?$")
_DIST_INFO = re.compile(r"(.+)-([^-]+)\.dist-info$")
_SKIPPED = ("dev", "proc", "sys")
# A file of metadata; those of the largest packages have some 20 MB.
_METADATA = 64 << 20


@dataclass
class Holder:
    """A package, or a folder of files that belong to none, with its device code.

    Attributes:
        name: a normalised package name, or the folder.
        version: the package's; "" for a folder.
        home: where the package is installed; "" for a folder.
        code: path from the folder or from `home` → what that file holds. unread: the same → why it can't be told.
    """

    name: str
    version: str = ""
    home: str = ""
    code: Dict[str, DeviceCode] = field(default_factory=dict)
    unread: Dict[str, str] = field(default_factory=dict)


def holders(root: str, search_path: str) -> List[Holder]:
    """What holds device code below a folder, in order of home and name; other mounts are left out.

    Libraries are known by their names (``.so``); of other files only the programs in the folders of `search_path`, such
    as PATH, are opened. Each file counts once, whatever names it has.

    Args:
        root: "/", or where a test keeps an image.
    """
    programs = {os.path.realpath(root + folder) for folder in search_path.split(":") if folder.startswith("/")}
    owners: Dict[str, Mapping[str, Tuple[str, str]]] = {}
    found: Dict[Tuple[str, str], Holder] = {}
    for path in _candidates(root, programs):
        reason, code = "", DeviceCode(set(), set())
        try:
            code = device_code(path)
        except ConversionError as error:
            reason = str(error).replace(path, "").lstrip(": ")
        if not code and not reason:
            continue
        holder = _holder(path, root, owners)
        holder = found.setdefault((holder.home, holder.name), holder)
        short = os.path.relpath(path, root)
        short = os.path.relpath("/" + short, holder.home or holder.name)
        if reason:
            holder.unread[short] = reason
        else:
            holder.code[short] = code
    return [found[key] for key in sorted(found)]


def _candidates(root: str, programs: Set[str]) -> Iterator[str]:
    """Each regular file that may hold device code, by its first name."""
    device = os.stat(root).st_dev
    seen: Set[Tuple[int, int]] = set()
    for folder, folders, names in os.walk(root):
        if folder == root:
            folders[:] = [name for name in folders if name not in _SKIPPED]
        folders[:] = sorted(name for name in folders if _on(device, os.path.join(folder, name)))
        every = folder in programs
        for name in sorted(names):
            if every or _LIBRARY.search(name):
                path = os.path.join(folder, name)
                try:
                    found = os.lstat(path)
                except OSError:
                    continue
                key = (found.st_dev, found.st_ino)
                if key not in seen and not os.path.islink(path):
                    seen.add(key)
                    yield path


def _on(device: int, folder: str) -> bool:
    try:
        return os.lstat(folder).st_dev == device
    except OSError:
        return False


def _holder(path: str, root: str, owners: Dict[str, Mapping[str, Tuple[str, str]]]) -> Holder:
    """Who a file belongs to: a package of the environment around it, or else its folder."""
    folder = os.path.dirname(path)
    while len(folder) > len(root.rstrip("/")):
        for kind, read in (("site-packages", _of_records), ("dist-packages", _of_records), ("conda-meta", _of_conda)):
            home = folder
            if kind == "conda-meta":
                if not os.path.isdir(os.path.join(folder, kind)):
                    continue
            elif os.path.basename(folder) != kind:
                continue
            key = f"{kind}:{home}"
            if key not in owners:
                owners[key] = dict(read(home))
            owner = owners[key].get(os.path.relpath(path, home))
            if owner:
                return Holder(*owner, home="/" + os.path.relpath(home, root))
        folder = os.path.dirname(folder)
    return Holder("/" + os.path.relpath(os.path.dirname(path), root))


def _of_records(site: str) -> Iterator[Tuple[str, Tuple[str, str]]]:
    """The libraries that the packages of a folder list: path → name and version."""
    for name in sorted(os.listdir(site)):
        match = _DIST_INFO.match(name)
        text = _text(os.path.join(site, name, "RECORD")) if match else None
        if match and text is not None:
            owner = normalise(match.group(1)), match.group(2)
            for row in csv.reader(line for line in text.splitlines() if ".so" in line):
                if row:
                    yield os.path.normpath(row[0]), owner


def _of_conda(prefix: str) -> Iterator[Tuple[str, Tuple[str, str]]]:
    """The same for an environment of conda's."""
    for name in sorted(os.listdir(os.path.join(prefix, "conda-meta"))):
        text = _text(os.path.join(prefix, "conda-meta", name)) if name.endswith(".json") else None
        try:
            package = json.loads(text or "{}")
            for file in package.get("files", ()):
                if ".so" in file or file.startswith("bin/"):
                    yield os.path.normpath(file), (normalise(package["name"]), str(package["version"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def _text(path: str) -> Optional[str]:
    """The text of a regular file of bearable size; None where there is no such file."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _METADATA:
            return None
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
