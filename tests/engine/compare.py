"""Says in what two images differ, layer by layer and file by file: ``python -m tests.engine.compare ONE OTHER``.

Both are archives in OCI's layout, as ``bake --output oci-archive`` and ``docker save`` write them. Exit status 1 where
they differ. A layer that only one of them has is compared with the other's at the same place.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import zstandard

from tests.engine.archive import blob, manifest_of

_BLOCK = 1 << 20
_SHOWN = 20  # lines of one layer


@dataclass(frozen=True)
class Entry:
    """What a layer says of one file; ``header`` is all of it, also what the other fields leave out."""

    type: str
    mode: str
    owner: str
    mtime: str
    link: str
    size: int
    content: str
    attributes: str
    header: str = field(repr=False)


def differences(one: Path, other: Path) -> Iterator[str]:
    """Give a line for each difference; none: the images are equal."""
    with tarfile.open(one) as left, tarfile.open(other) as right:
        manifests = manifest_of(left), manifest_of(right)
        if manifests[0] == manifests[1]:
            return
        configs = [
            json.loads(blob(archive, manifest["config"]["digest"]))
            for archive, manifest in zip((left, right), manifests, strict=True)
        ]
        yield from _values("config", *configs)
        layers = zip_longest(*(manifest["layers"] for manifest in manifests))
        for number, (ours, theirs) in enumerate(layers, 1):
            if ours is None or theirs is None:
                yield f"layer {number}: only in {one if ours else other}"
            elif ours["digest"] != theirs["digest"]:
                yield f"layer {number}: {ours['digest']} ({ours['size']} bytes), {theirs['digest']} ({theirs['size']})"
                yield from _shortened(_layers(_entries(left, ours["digest"]), _entries(right, theirs["digest"])))


def _values(name: str, one: Any, other: Any) -> Iterator[str]:
    """Compare two JSON values, down to the leaves that differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from _values(f"{name}.{key}", one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from _values(f"{name}[{index}]", *pair)
    elif one != other:
        yield f"{name}: {json.dumps(one)}, {json.dumps(other)}"


def _layers(one: dict[str, Entry], other: dict[str, Entry]) -> Iterator[str]:
    same = True
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            same = False
            yield f"  {name}: only in the {'first' if name in one else 'second'}"
        elif one[name] != other[name]:
            same = False
            changed = [
                part.name for part in fields(Entry) if getattr(one[name], part.name) != getattr(other[name], part.name)
            ]
            told = [part for part in changed if part != "header"] or changed
            values = "; ".join(f"{part} {getattr(one[name], part)}, {getattr(other[name], part)}" for part in told)
            yield f"  {name}: {values}"
    if list(one) != list(other) and one.keys() == other.keys():
        place = next(pair for pair in zip(one, other, strict=True) if pair[0] != pair[1])
        yield f"  the order of entries, from {place[0]} in the first and {place[1]} in the second on"
    elif same:
        yield "  entries are equal and in the same order: the compression, or the padding of the archive"


def _shortened(lines: Iterator[str]) -> Iterator[str]:
    left = 0
    for number, line in enumerate(lines):
        if number < _SHOWN:
            yield line
        left = max(0, number + 1 - _SHOWN)
    if left:
        yield f"  and {left} more"


def _entries(archive: tarfile.TarFile, digest: str) -> dict[str, Entry]:
    """Read a layer's entries in their order, as a stream: a layer may be larger than the memory."""
    with _plain(archive, digest) as stream, tarfile.open(fileobj=stream, mode="r|") as layer:
        return {item.name: _entry(layer, item) for item in layer}


@contextlib.contextmanager
def _plain(archive: tarfile.TarFile, digest: str) -> Iterator[Any]:
    found = archive.extractfile(f"blobs/sha256/{digest.partition(':')[2]}")
    assert found is not None
    start = found.read(4)
    found.seek(0)
    if start[:2] == b"\x1f\x8b":
        with gzip.open(found) as unpacked:
            yield unpacked
    elif start == b"\x28\xb5\x2f\xfd":
        with zstandard.ZstdDecompressor().stream_reader(found, read_across_frames=True) as unpacked_zstd:
            yield unpacked_zstd
    else:
        yield found


def _entry(layer: tarfile.TarFile, item: tarfile.TarInfo) -> Entry:
    content = hashlib.sha256()
    read = layer.extractfile(item) if item.isreg() else None
    while read is not None and (block := read.read(_BLOCK)):
        content.update(block)
    return Entry(
        type=item.type.decode(),
        mode=oct(item.mode),
        owner=f"{item.uid}:{item.gid}",
        mtime=item.pax_headers.get("mtime", str(item.mtime)),
        link=item.linkname,
        size=item.size,
        content=content.hexdigest()[:12] if item.isreg() else "",
        attributes=", ".join(
            f"{name}={value!r}" for name, value in sorted(item.pax_headers.items()) if "xattr" in name
        ),
        header=json.dumps([item.uname, item.gname, item.devmajor, item.devminor, sorted(item.pax_headers.items())]),
    )


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write(f"{__doc__}")
        return 2
    found = list(differences(*map(Path, arguments)))
    sys.stdout.write("\n".join(found or ["equal"]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
