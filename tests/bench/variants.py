"""Changed copies of what is baked: the repository with another conversion module, a recipe with another torch.

Nothing is ever changed in place.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from bake.errors import BuildFailed, UsageError
from generator.recipe import load_recipe
from generator.resolve.assets import asset_folder

TOP = Path(__file__).parents[2]
PARTS = ("generator", "bake", "contexts", "conversion", "docker-bake.hcl.j2")
CHANGED_MODULE = "conversion/models/rebuild.py"
# The next release with the same CUDA: the toolkit of the recipe stays.
OTHER_TORCH = ("2.11.0", "2.12.0")
UNEARTH = "unearth==0.19.0"
ADDRESS = "https://example.invalid/bench/"


def repository(folder: Path, sign: str) -> Path:
    """Copy what the command line needs, with a conversion module that does the same and isn't the same."""
    copy = folder / f"repository-{sign}"
    for part in PARTS:
        source = TOP / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / part)
    module = copy / CHANGED_MODULE
    module.write_text(changed_module(module.read_text(encoding="utf-8"), sign), encoding="utf-8")
    return copy


def changed_module(text: str, sign: str) -> str:
    """Give a module a constant that nothing uses, before its last statement."""
    place = text.rindex('if __name__ == "__main__":')
    return f"{text[:place]}CHANGED = {sign!r}\n\n\n{text[place:]}"


def recipe_text(recipe: str) -> str:
    """The text of a recipe, shipped or a file."""
    return load_recipe(recipe).text


def with_torch(text: str, old: str, new: str) -> str:
    """Give a recipe another torch, with the same local version.

    Raises:
        UsageError: the recipe has no such torch.
    """
    if f'"torch=={old}"' not in text:
        raise UsageError(
            f"the recipe doesn't install torch {old}", where="torch changed", remedy="bench the recipe demo"
        )
    changed = text.replace(f'"torch=={old}"', f'"torch=={new}"')
    return re.sub(rf'torch = "{re.escape(old)}([+"])', rf'torch = "{new}\1', changed)


def with_archive(text: str, name: str, file: str, digest: str) -> str:
    """Give an sdist extension of a recipe an archive as its source: an asset of that file name and SHA-256.

    Raises:
        UsageError: the recipe has no such extension, or it is no sdist.
    """
    section = re.search(rf"(?ms)^\[extensions\.{re.escape(name)}\]\n(.*?)(?=^\[|\Z)", text)
    if section is None or 'source = "sdist"' not in section[1]:
        raise UsageError(f"{name} is no sdist in this recipe", where="one .cu changed", remedy="bench the recipe demo")
    body = section[1].replace('source = "sdist"', f'source = "archive"\nasset = "{asset_name(name)}"')
    body = re.sub(r'(?m)^sha256 = ".*"\n', "", body)
    asset = f'\n[assets.{asset_name(name)}]\nurl = "{ADDRESS}{file}"\nsha256 = "{digest}"\n'
    return text[: section.start(1)] + body.rstrip("\n") + "\n\n" + text[section.end(1) :].rstrip("\n") + "\n" + asset


def asset_name(extension: str) -> str:
    return f"bench-{extension}"


def change_one_source(archive: bytes, suffix: str = ".cu") -> tuple[bytes, str]:
    """Add a line of code to the first source of that kind in a gzipped tar archive; gives archive and file name.

    Raises:
        UsageError: the archive has no such source.
    """
    changed = ""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=buffer, mode="w:gz") as new:
        names = sorted(entry.name for entry in old.getmembers() if entry.isfile() and entry.name.endswith(suffix))
        for entry in old.getmembers():
            opened = old.extractfile(entry) if entry.isfile() else None
            content = opened.read() if opened else b""
            if names and entry.name == names[0]:
                changed = entry.name
                content += b"\nnamespace { [[maybe_unused]] int changed_by_the_bench() { return 1; } }\n"
                entry.size = len(content)
            new.addfile(entry, io.BytesIO(content) if entry.isfile() else None)
    if not changed:
        raise UsageError(f"the archive has no {suffix} file", where="one .cu changed", remedy="name another extension")
    return buffer.getvalue(), changed


def sdist(package: str, version: str, folder: Path) -> Path:
    """Fetch an sdist without building it, by the same program as the builds.

    Raises:
        BuildFailed: it can't be had.
    """
    tools, out = folder / "tools", folder / "sdist"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(tools))
    fetch = (sys.executable, "-m", "unearth", "--no-binary", "--download", str(out), f"{package}=={version}")
    for command in ((*pip, UNEARTH), fetch):
        done = subprocess.run(command, env=_with(tools), capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildFailed(
                done.stderr.strip(), where=f"{package} {version}", remedy="see that the package index answers"
            )
    return next(out.glob("*.tar.gz"))


def _with(tools: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tools)}


def changed_extension(recipe: str, name: str, folder: Path) -> tuple[Path, Path, str]:
    """Write a recipe whose extension has one changed source; gives recipe, folder of assets, and the source's name."""
    text, extension = recipe_text(recipe), load_recipe(recipe).recipe.extensions[name]
    original = sdist(name, extension.version, folder)
    content, changed = change_one_source(original.read_bytes())
    assets = folder / "assets"
    place = asset_folder(assets, asset_name(name), f"{ADDRESS}{original.name}")
    place.mkdir(parents=True)
    (place / original.name).write_bytes(content)
    file = folder / "changed.toml"
    file.write_text(with_archive(text, name, original.name, hashlib.sha256(content).hexdigest()), encoding="utf-8")
    return file, assets, changed
