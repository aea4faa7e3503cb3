"""The comparison of two images says where they differ, on archives made here."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.engine.compare import differences, main


def entry(name: str, content: bytes = b"same", **changed: Any) -> tuple[tarfile.TarInfo, bytes]:
    item = tarfile.TarInfo(name)
    item.size, item.mtime = len(content), 100
    for key, value in changed.items():
        setattr(item, key, value)
    return item, content


def layer(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for item, content in entries:
            packed.addfile(item, io.BytesIO(content))
    return buffer.getvalue()


def write(path: Path, *layers: bytes, created: str = "1980-01-01T00:00:00Z") -> Path:
    """Write an archive in OCI's layout."""
    blobs = {}

    def stored(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    config = stored(json.dumps({"created": created, "config": {"Env": ["PATH=/bin"]}}).encode())
    manifest = stored(json.dumps({"config": config, "layers": [stored(content) for content in layers]}).encode())
    blobs["index.json"] = json.dumps({"manifests": [manifest]}).encode()
    path.write_bytes(layer(*(entry(name, content) for name, content in blobs.items())))
    return path


@pytest.fixture
def compared(tmp_path: Path) -> Any:
    def compare(one: list[bytes], other: list[bytes], **values: str) -> list[str]:
        return list(differences(write(tmp_path / "one", *one), write(tmp_path / "other", *other, **values)))

    return compare


def test_equal_images_have_no_differences(compared: Any, tmp_path: Path) -> None:
    assert compared([layer(entry("a"))], [layer(entry("a"))]) == []
    assert main([str(tmp_path / "one"), str(tmp_path / "other")]) == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (entry("a"), entry("a", mtime=101), "  a: mtime 100, 101"),
        (entry("a"), entry("a", mode=0o755), "  a: mode 0o644, 0o755"),
        (entry("a"), entry("a", uid=7), "  a: owner 0:0, 7:0"),
        (entry("a"), entry("a", b"else"), "  a: content 0967115f2813, "),
        (entry("a"), entry("b"), "  a: only in the first"),
        (entry("a"), entry("a", uname="x"), "  a: header "),
    ],
)
def test_a_file_that_differs_is_named_with_how(
    compared: Any, ours: tuple[tarfile.TarInfo, bytes], theirs: tuple[tarfile.TarInfo, bytes], said: str
) -> None:
    same = layer(entry("usr/kept"))
    found = compared([same, layer(ours, entry("z"))], [same, layer(theirs, entry("z"))])
    assert found[0].startswith("layer 2: sha256:")
    assert found[1].startswith(said)
    assert not [line for line in found if " z" in line or "usr/kept" in line]


def test_order_and_compression_are_differences_too(compared: Any) -> None:
    plain = layer(entry("a"), entry("b"))
    assert compared([plain], [layer(entry("b"), entry("a"))])[1:] == [
        "  the order of entries, from a in the first and b in the second on"
    ]
    for form in (gzip.compress(plain), zstandard.compress(plain)):
        assert compared([plain], [form])[1:] == [
            "  entries are equal and in the same order: the compression, or the padding of the archive"
        ]


def test_the_configuration_and_the_number_of_layers_are_compared(compared: Any, tmp_path: Path) -> None:
    found = compared([layer(entry("a"))], [], created="1980-01-01T00:00:01Z")
    assert found == [
        'config.created: "1980-01-01T00:00:00Z", "1980-01-01T00:00:01Z"',
        f"layer 1: only in {tmp_path / 'one'}",
    ]
    assert main([str(tmp_path / "one"), str(tmp_path / "other")]) == 1
