"""What codemods make of the files below some folders; nothing is written.

Looks at ``*.py`` and at scripts whose first line asks for Python. Other text that mentions what they change (notebooks,
shell, Cython) is found by line, and what can't be looked at by name; a link to a file below a root is looked at where
the file is, any other is named.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Collection, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from conversion.failures import SpecError
from conversion.patch import source_files
from conversion.patch.codemod import Result, Undecided, shown
from conversion.patch.codemods import CODEMODS, transform
from conversion.patch.source_files import SourceFile


@dataclass(frozen=True)
class Looked:
    """What was found in one file.

    Attributes:
        file: its path.
        python: whether it is Python.
        result: what the codemods make of it; None where it isn't to be changed.
        undecided: the places for a person to look at.
        skipped: why it can't be looked at, or None.
    """

    file: str
    python: bool
    result: Optional[Result] = None
    undecided: Tuple[Undecided, ...] = ()
    skipped: Optional[str] = None


def real_roots(roots: Sequence[str]) -> List[str]:
    """The roots with links resolved, each once.

    Raises:
        SpecError: a root doesn't exist.
    """
    absent = [root for root in roots if not os.path.exists(root)]
    if absent:
        raise SpecError(f"no such folder to patch: {', '.join(absent)}")
    return sorted({os.path.realpath(root) for root in roots})


def scan(roots: Sequence[str], codemods: Collection[str] = CODEMODS) -> List[Looked]:
    """Run codemods over every file below the roots (as `real_roots` gives them), and write nothing.

    Names that one file has for what is changed and another imports are followed over as many files as it takes.
    """
    found = [_look(item, codemods, {}) for item in source_files.below(roots)]
    known: Dict[str, str] = {}
    while True:
        new = {name: what for item in found for name, what in _exported(item) if name not in known}
        if not new:
            return found
        known.update(new)
        words = [name.rpartition(".") for name in new]
        pairs = {(module.encode("utf-8", "replace"), name.encode("utf-8", "replace")) for module, _, name in words}
        found = [_again(item, codemods, known, pairs) for item in found]


def _exported(item: Looked) -> Iterator[Tuple[str, str]]:
    """What other files can import of a file's own names, as "module.name"."""
    if item.result is None or not item.result.exports:
        return
    folder, name = os.path.split(item.file)
    module = os.path.splitext(name)[0]
    modules = [os.path.basename(folder), ""] if module == "__init__" else [module]
    for exported, what in item.result.exports.items():
        yield from ((f"{each}.{exported}", what) for each in modules)


def _again(
    item: Looked, codemods: Collection[str], known: Mapping[str, str], pairs: Set[Tuple[bytes, bytes]]
) -> Looked:
    """Look at a file once more where its text has one of the new names and the module that it comes from."""
    if item.result is None:
        return item
    for again in source_files.look_at(item.file):
        source = again.source or b""
        if any(name in source and module in source for module, name in pairs):
            return _look(replace(again, python=True), codemods, known)
    return item


def _look(item: SourceFile, codemods: Collection[str], known: Mapping[str, str]) -> Looked:
    if item.source is None:
        return Looked(item.path, item.python, skipped=item.reason)
    if not item.python:
        left = _in_text(item.source, codemods, "isn't Python source, which is left")
        return Looked(item.path, python=False, undecided=left)
    result = transform(codemods, item.source, known)
    if item.link is None:
        undecided = _in_text(item.source, codemods, result.error) if result.error else result.undecided
        return Looked(item.path, True, result, undecided, result.error)
    if not (result.edits or result.undecided or result.error):
        return Looked(item.path, True)
    why = result.error or f"has {len(result.edits)} calls to change and {len(result.undecided)} undecided places"
    return Looked(item.path, True, skipped=f"a link to {item.link}, which is below no root and {why}")


def _in_text(source: bytes, names: Collection[str], why: str) -> Tuple[Undecided, ...]:
    """The mentions in a file that isn't read as Python, found by their look."""
    text = source.decode("utf-8", "replace")
    return tuple(
        Undecided(line, column, shown(code), f"{codemod.call} in a file that {why}")
        for codemod in (CODEMODS[name] for name in names)
        for line, column, code in codemod.in_text(text)
    )
