"""Makes the place that the real lab bakes in: `python -m lab.real_site --pytorch3d FOLDER --out FOLDER`.

Writes OUT/assets/FILE, the archive of PyTorch3D that the recipe wants, from a checkout, and OUT/site.toml, which is the
user's own site file but for these assets. Where the archive's bytes are not GitHub's, because git or gzip differ or the
checkout is not whole, the site file says the archive's own checksum; the recipe's commit is in it all the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bake.errors import UpliftError, UsageError
from generator.console.reporter import Reporter
from generator.recipe import load_recipe
from generator.resolve.site import SiteFile, load_site

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ASSET = "pytorch3d"
COMPILED = ("pytorch3d/", "setup.py", "pyproject.toml", "setup.cfg")
PATHS = ("ca-bundle", "netrc", "assets")
DISK_GIB = 25  # for one arch, where the recipe's own estimate is for all


def git(checkout: Path, *command: str, text: str = "") -> bytes:
    """What a git command says.

    Raises:
        UsageError: it failed, or there is no git.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *command], input=text.encode(), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise UsageError("there is no `git` on PATH", remedy="install git") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(
            f"`git {command[0]}` failed: {reason[-1] if reason else f'status {done.returncode}'}", where=str(checkout)
        )
    return done.stdout


def missing_files(checkout: Path, commit: str) -> list[str]:
    """Files of a commit whose content the checkout lacks, as copies of a repository without its large files do.

    Raises:
        UsageError: one of them is compiled.
    """
    entries = [line.split("\t", 1) for line in git(checkout, "ls-tree", "-rz", commit).decode().split("\0") if line]
    names = {name: facts.split()[2] for facts, name in entries if " blob " in facts}
    checked = git(checkout, "cat-file", "--batch-check", text="".join(f"{blob}\n" for blob in names.values()))
    lacking = {line.split()[0] for line in checked.decode().splitlines() if line.endswith(" missing")}
    found = [name for name, blob in names.items() if blob in lacking]
    if needed := [name for name in found if name.startswith(COMPILED)]:
        raise UsageError(
            f"the checkout lacks what is compiled: {', '.join(needed)}", where=str(checkout), remedy="clone it anew"
        )
    return found


def archive(checkout: Path, *, commit: str, prefix: str, out: Path) -> list[str]:
    """Write the archive of a commit, as GitHub makes it; returns the files that the checkout lacks and it leaves out.

    Raises:
        UsageError: the folder is no checkout that has the commit with all that is compiled.
    """
    try:
        git(checkout, "cat-file", "-e", f"{commit}^{{tree}}")
    except UsageError as error:
        raise UsageError(
            f"no checkout with commit {commit}: {error.message}",
            where=str(checkout),
            remedy="git clone --branch v0.7.9 https://github.com/facebookresearch/pytorch3d, and name that folder",
        ) from None
    left_out = missing_files(checkout, commit)
    paths = ["--", ".", *(f":(exclude,literal){name}" for name in left_out)] if left_out else []
    tar = git(checkout, "-c", "core.autocrlf=false", "archive", "--format=tar", f"--prefix={prefix}/", commit, *paths)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(subprocess.run(["gzip", "-n"], input=tar, stdout=subprocess.PIPE, check=True).stdout)
    return left_out


def site_text(own: SiteFile, *, assets: Path, checksums: Mapping[str, str]) -> str:
    """The user's site file as TOML, with other assets, more checksums, and the room that the lab takes."""
    values: dict[str, Any] = own.site.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    values |= {key: str(own.path(values[key])) for key in PATHS if key in values}
    values["assets"] = str(assets)
    values.setdefault("disk-gib", DISK_GIB)
    values["checksums"] = {**values.get("checksums", {}), **checksums}
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    rows = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in tables]
    for name, table in tables.items():
        rows += ["", f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items())]
    return "# Made by `make real`, from the site file that holds here.\n" + "\n".join(rows) + "\n"


def make(checkout: Path, out: Path, *, recipe: str, site: Path | None, reporter: Reporter) -> Path:
    """Write archive and site file; returns the site file.

    Raises:
        UsageError: the checkout or the user's site file is not fit.
    """
    loaded = load_recipe(recipe).recipe
    asset, extension = loaded.assets[ASSET], loaded.extensions[ASSET]
    commit, file = str(getattr(extension, "commit", "")), (out / "assets" / asset.file_name).resolve()
    left_out = archive(checkout, commit=commit, prefix=f"{ASSET}-{extension.version}", out=file)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found == asset.sha256:
        reporter.note(f"{file.name}: made from the checkout, equal to GitHub's to the byte")
    else:
        why = f"the checkout lacks {len(left_out)} files ({', '.join(left_out)})" if left_out else "git or gzip differ"
        reporter.note(f"{file.name}: made from the checkout, of commit {commit}; its bytes are not GitHub's: {why}")
    checksums = {} if found == asset.sha256 else {asset.url: found}
    written = out / "site.toml"
    text = site_text(load_site(site), assets=file.parent, checksums=checksums)
    written.write_text(text, encoding="utf-8")
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; prints the site file's path, returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.real_site", description=__doc__)
    parser.add_argument("--pytorch3d", required=True, type=Path, help="checkout of facebookresearch/pytorch3d")
    parser.add_argument("--out", required=True, type=Path, help="where assets and site file are written")
    parser.add_argument("--recipe", default="deepprep-cu130", help="the recipe (default %(default)s)")
    site = os.environ.get("GENERATOR_SITE") or None
    parser.add_argument("--site", type=Path, default=site, help="the site file; default: GENERATOR_SITE, or the user's")
    options = parser.parse_args(arguments)
    reporter = Reporter()
    try:
        file = make(options.pytorch3d, options.out, recipe=options.recipe, site=options.site, reporter=reporter)
    except UpliftError as error:
        reporter.failure(error)
        return error.exit_status
    reporter.data(str(file))
    return 0


if __name__ == "__main__":
    sys.exit(main())
