"""Calls of torch.load outside the recipe's roots: listed with a reason to act or not, and left as they are.

Looks at the Python files below some folders (an environment's lib, another program's own Python), within bounds,
and says of each call without weights_only what the new torch makes of it there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from conversion.environment.inventory import normalise
from conversion.patch.source_files import entries, is_below, look_at
from conversion.patch.text_mentions import lines
from conversion.patch.torch_load import transform
from conversion.verify.image import Image, Spec
from conversion.verify.rows import INFO, Row

FILES = 150_000  # Python files at most below one folder
SITES = 300  # rows at most below one folder
LEFT = 20  # files named at most that can't be looked at
WEIGHTS_ONLY_DEFAULT = (2, 6)  # the torch that made it True
_TEST = re.compile(r"/(tests?|testing|examples?|benchmarks?|docs?)/|/(test_|conftest)[^/]*$")
_VERSION = re.compile(r"^__version__\s*(?::[^=]*)?=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)


def rows(_image: Image, spec: Spec) -> Iterator[Row]:
    """The rows of the folders that the recipe has looked through."""
    fresh = fresh_packages(spec.get("versions", {}))
    yield from look_rows(spec.get("look_roots", []), spec.get("patch_roots", []), fresh)


def look_rows(roots: Sequence[str], patched: Sequence[str], fresh: Sequence[str]) -> Iterator[Row]:
    """One row per call found below the roots; they only inform.

    Args:
        roots: folders to look below; one that isn't there gives a row that says so.
        patched: folders that the patch covers, which are left out.
        fresh: packages that came with the new stack.
    """
    covered = [os.path.realpath(root) for root in patched]
    seen: List[str] = []
    for root in roots:
        if not os.path.isdir(root):
            yield Row("torch-load", root, "", "not in this image", INFO)
            continue
        real = os.path.realpath(root)
        if is_below(real, seen):
            continue
        seen.append(real)
        yield from _below(real, covered, {normalise(name) for name in fresh})


def _below(root: str, covered: Sequence[str], fresh: "set[str]") -> Iterator[Row]:
    looked = found = 0
    left: List[str] = []
    torches: Dict[str, Optional[str]] = {}
    for path, unread in entries(root, covered):
        if unread is not None:
            left.append(f"{path}: {unread}")
        if unread is not None or not path.endswith(".py") or os.path.islink(path):
            continue
        looked += 1
        if looked > FILES:
            yield Row("torch-load", root, "", f"only the first {FILES:,} files were looked at", INFO)
            break
        sites, reason = _sites(path)
        if reason is not None:
            left.append(f"{path}: {reason}")
        for line, code, note in sites:
            found += 1
            if found <= SITES:
                why = _reason(path, fresh, torches)
                yield Row("torch-load", f"{path}:{line}", "", why, INFO, f"{note}: {code}" if note else code)
    if left:
        more = [*left[:LEFT], *([f"{len(left) - LEFT} more"] if len(left) > LEFT else [])]
        yield Row("torch-load", root, "", f"{len(left)} files can't be looked at", INFO, "; ".join(more))
    unlisted = f", {found - SITES} of them not listed" if found > SITES else ""
    yield Row(
        "torch-load",
        root,
        "",
        f"{found} calls without weights_only, or undecided{unlisted}",
        INFO,
        f"{looked} files looked at",
    )


def _sites(path: str) -> Tuple[List[Tuple[int, str, str]], Optional[str]]:
    """Line, code and remark of each call, and why the file can't be looked at, if it can't."""
    for item in look_at(path):
        source = item.source
        if source is None:
            return [], item.reason
        if b"torch" not in source or b"load" not in source:
            return [], None
        result = transform(source)
        sites = [(edit.line, edit.before, "") for edit in result.edits]
        sites += [(place.line, place.code, place.reason) for place in result.undecided]
        if result.error:
            sites = [(line, code, result.error) for line, _, code in lines(source.decode("utf-8", "replace"))]
        return sites, result.error
    return [], None


def _reason(path: str, fresh: "set[str]", torches: Dict[str, Optional[str]]) -> str:
    """Why to act on a call there, or not."""
    if _TEST.search(path):
        return "no need to act: a test or an example"
    site, package = _package_of(path)
    if package and normalise(package) in fresh:
        return "no need to act: it came with the new stack and is made for it"
    if site is not None:
        if site not in torches:
            torches[site] = _torch_in(site)
        version = torches[site]
        if version is None:
            return "no need to act: this Python has no torch"
        if _older(version):
            return f"no need to act: this Python has its own torch {version}, which loads as before"
    owner = f"{package}: " if package else ""
    return (
        f"{owner}fails on whole pickled objects, not on plain weights; if the pipeline runs it, add it to patch.roots"
    )


def _package_of(path: str) -> Tuple[Optional[str], Optional[str]]:
    """The site-packages folder that holds a file, and the name at its top there."""
    for marker in ("/site-packages/", "/dist-packages/"):
        head, found, tail = path.rpartition(marker)
        if found:
            return head + marker.rstrip("/"), tail.split("/", 1)[0].partition(".")[0]
    return None, None


def _torch_in(site: str) -> Optional[str]:
    try:
        match = _VERSION.search(Path(site, "torch", "version.py").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return match.group(1) if match else None


def _older(version: str) -> bool:
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return numbers < WEIGHTS_ONLY_DEFAULT


def fresh_packages(expected: Mapping[str, str]) -> List[str]:
    """The packages that the new stack brought, by the names that they are imported under."""
    return [*expected, *(name.replace("-", "_") for name in expected), "functorch", "torchgen"]
