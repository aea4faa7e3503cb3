"""The rendered folder of each shipped recipe, compared with the copy that a reader can open here.

After a change that is meant: ``.venv/bin/python -m tests.golden.update``.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from generator.plan import build_graph
from generator.recipe import load_recipe, shipped
from generator.render import render

HERE = Path(__file__).parent
# Copies of our own packages' files would only repeat them; what is rendered is what is compared.
COPIED = {".py", ".conf", ""}
# A recipe with a limit on layers: only what differs from the same recipe without one.
VARIANTS = {"demo-layers": ("demo", 1000)}


def rendered(name: str) -> dict[PurePosixPath, bytes]:
    base, limit = VARIANTS.get(name, (name, None))
    loaded = load_recipe(base)
    files = render(build_graph(loaded.recipe, origin=loaded.origin, layer_limit_mib=limit))
    plain = render(build_graph(loaded.recipe, origin=loaded.origin)) if name in VARIANTS else {}
    return {path: content for path, content in files.items() if is_rendered(path) and plain.get(path) != content}


def is_rendered(path: PurePosixPath) -> bool:
    return path.name == "Dockerfile" or path.suffix not in COPIED


@pytest.mark.parametrize("name", [*shipped(), *VARIANTS])
def test_renders_as_recorded(name: str) -> None:
    folder = HERE / name
    recorded = {
        PurePosixPath(path.relative_to(folder).as_posix()): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    files = rendered(name)
    assert sorted(recorded) == sorted(files)
    for path, content in files.items():
        assert content.decode() == recorded[path].decode(), path
