"""An image in an archive: what its layers hold, and the file system that they make."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from tests.engine.small import plain

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
Entry = tuple[object, ...]


@dataclass(frozen=True)
class Saved:
    """An image in an archive: its file system, bytes of its compressed layers by digest, and its history."""

    files: dict[str, Entry]
    layers: dict[str, int]
    history: list[str]


def blob(archive: tarfile.TarFile, digest: str) -> bytes:
    content = archive.extractfile(f"blobs/sha256/{digest.partition(':')[2]}")
    assert content is not None
    return content.read()


def manifest_of(archive: tarfile.TarFile) -> Any:
    index = archive.extractfile("index.json")
    assert index is not None
    return json.loads(blob(archive, json.load(index)["manifests"][0]["digest"]))


def saved(path: Path, known: dict[str, dict[str, Entry]]) -> Saved:
    """Read an image; ``known`` holds the entries of layers by digest, those of earlier images too."""
    files: dict[str, Entry] = {}
    with tarfile.open(path) as archive:
        manifest = manifest_of(archive)
        for layer in manifest["layers"]:
            digest = layer["digest"]
            if digest not in known:
                known[digest] = entries_of(plain(blob(archive, digest)))
            lay_over(files, known[digest])
        history = json.loads(blob(archive, manifest["config"]["digest"]))["history"]
    return Saved(
        files=files,
        layers={layer["digest"]: layer["size"] for layer in manifest["layers"]},
        history=[row.get("created_by", "") for row in history],
    )


def entries_of(layer: bytes) -> dict[str, Entry]:
    """What a layer says of each of its entries; BuildKit writes times in whole seconds."""
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=BytesIO(layer)) as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            found[entry.name.removeprefix("./")] = (
                entry.type,
                entry.mode,
                entry.uid,
                entry.gid,
                entry.pax_headers.get("mtime", str(entry.mtime)),
                entry.linkname,
                hashlib.sha256(content.read()).hexdigest() if content else "",
                sorted((key, value) for key, value in entry.pax_headers.items() if "xattr" in key),
            )
    return found


def lay_over(files: dict[str, Entry], layer: dict[str, Entry]) -> None:
    """Apply a layer as the OCI image specification has it: first what goes, then what comes."""
    for path in map(PurePosixPath, layer):
        if path.name == OPAQUE:
            drop(files, f"{path.parent}/")
        elif path.name.startswith(WHITEOUT):
            gone = path.with_name(path.name.removeprefix(WHITEOUT))
            files.pop(str(gone), None)
            drop(files, f"{gone}/")
    files.update((name, entry) for name, entry in layer.items() if WHITEOUT not in name)


def drop(files: dict[str, Entry], prefix: str) -> None:
    for name in [name for name in files if name.startswith(prefix)]:
        del files[name]
