"""Precompiled headers for the host compiler: half of an extension's host compile is parsing torch's headers.

A header is made of what several sources begin with, up to their first header of torch, and is included before the
source (``-include``). The source then includes the same again, which the headers' own guards leave out. So the result
is the same as without it, to the byte; to that end

- a head ends at the first line that is neither an include nor a condition, a comment or a definition;
- a definition before torch's header keeps its source out when the header holds its name anywhere (``g++ -E -dU``);
- g++ itself refuses a precompiled header that was made with other options, and reads the text in its place.

nvcc has no precompiled headers (13.0: "Unknown option '--pch'"; that option is the run-time compiler's).
Standard library only; runs inside a compile target: ``precompiled.py HEADER NAMES -- COMPILER FLAG…`` makes one.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Measured with torch 2.11 and g++ 13: making one takes 30 CPU seconds, each use saves about ten of 24. Four uses by
# torch-cluster on 16 cores gained nothing.
FEWEST_USES = 8
HOST_SUFFIXES = (".cpp", ".cc", ".cxx")
INDEX = "index.json"
_OF_TORCH = re.compile(r"#\s*include\s*<(torch|ATen|c10)/")
_SYSTEM = re.compile(r"#\s*include\s*<[^>]+>")
_LOCAL = re.compile(r'#\s*include\s*"([^"]+)"')
_CONDITION = re.compile(r"#\s*(if|ifdef|ifndef|elif|else|endif)\b")
_DEFINE = re.compile(r"#\s*(?:define|undef)\s+(\w+)")
_ONCE = re.compile(r"#\s*pragma\s+once\b")
_GUARD = re.compile(r"#\s*ifndef\s+(\w+)")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Head:
    """What a source begins with: the text, up to its first header of torch, and the names defined before that."""

    text: str
    names: tuple[str, ...]


class _End(Exception):
    """The head ends here."""


def head_of(source: Path) -> Head | None:
    """Read a source's head; None when no header of torch is in it."""
    reader = _Reader()
    with contextlib.suppress(_End):
        reader.read(source)
    end, depth = 0, 0
    for number, line in enumerate(reader.lines, 1):
        depth += _step(line)
        if depth == 0 and _OF_TORCH.match(line):
            end = number
            break
    if not end:
        return None
    return Head(text="\n".join(reader.lines[:end]) + "\n", names=tuple(sorted(set(reader.names))))


class _Reader:
    """Collects what a source begins with: its directives, and in their place those of files with a path of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: list[str] = []
        self._seen: set[Path] = set()

    def read(self, file: Path) -> None:
        """Take in one file; raises at the end of the head."""
        if file in self._seen:
            return
        self._seen.add(file)
        text = _COMMENT.sub(" ", file.read_text(encoding="utf-8", errors="replace")).replace("\\\n", " ")
        directives = [line.strip() for line in text.splitlines() if line.strip()]
        guard, outside = _guard(directives), self._depth()
        if guard:
            self.names.append(guard)
        for line in directives[2:] if guard else directives:
            if guard and _step(line) < 0 and self._depth() == outside:
                return  # the end of the guard
            self._take(line, file.parent)

    def _take(self, line: str, folder: Path) -> None:
        local, defined = _LOCAL.match(line), _DEFINE.match(line)
        if local and (folder / local[1]).is_file():
            self.read((folder / local[1]).resolve())
        elif defined:
            self.names.append(defined[1])
        elif _CONDITION.match(line) and not set(_WORD.findall(line)) & set(self.names):
            self.lines.append(line)
        elif _SYSTEM.match(line):
            self.lines.append(line)
            if _OF_TORCH.match(line) and self._depth() == 0:
                raise _End
        elif not _ONCE.match(line):
            raise _End

    def _depth(self) -> int:
        return sum(map(_step, self.lines))


def _guard(directives: Sequence[str]) -> str:
    """Give the name by which a header keeps itself from being read twice (#ifndef X, #define X); "": none."""
    opened, defined = (
        (_GUARD.match(directives[0]), _DEFINE.match(directives[1])) if len(directives) > 1 else (None, None)
    )
    return opened[1] if opened and defined and opened[1] == defined[1] else ""


def _step(line: str) -> int:
    """Tell whether a line opens a condition (1), ends one (-1), or neither."""
    found = _CONDITION.match(line)
    return (found[1].startswith("if") - (found[1] == "endif")) if found else 0


def plan(sources: Sequence[Path], folder: Path, jobs: int) -> dict[Path, tuple[str, ...]]:
    """Choose the headers that pay, write their texts and the index; gives each with the names defined before it.

    Args:
        sources: of all modules, once for each time that one is compiled. folder: for headers. jobs: how many
            sources compile at once; so many are under way before the first header is ready. Those that a header is
            made for come last.
    """
    groups: dict[str, list[Path]] = {}
    names: dict[str, set[str]] = {}
    for source in sources:
        head = head_of(source) if source.suffix in HOST_SUFFIXES and source.is_file() else None
        if head:
            groups.setdefault(head.text, []).append(source)
            names.setdefault(head.text, set()).update(head.names)
    headers: dict[Path, tuple[str, ...]] = {}
    index: dict[str, str] = {}
    in_time = min(1.0, max(0, len(sources) - jobs) / max(1, sum(map(len, groups.values()))))
    for text, members in groups.items():
        if len(members) * in_time < FEWEST_USES:
            continue
        header = folder / str(len(headers)) / "head.h"
        header.parent.mkdir(parents=True)
        header.write_text(text, encoding="utf-8")
        headers[header] = tuple(sorted(names[text]))
        index.update({str(member.absolute()): str(header) for member in members})
    if index:
        (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    return headers


def make(header: Path, names: Sequence[str], compiler: Sequence[str]) -> bool:
    """Precompile a header with the options of the sources; False when the names stand against it.

    The precompiled header appears under its name only when it is complete.
    """
    command = [*compiler, "-x", "c++-header", str(header)]
    if names:
        said = subprocess.run([*command, "-E", "-dU"], stdout=subprocess.PIPE, check=True).stdout
        if set(names) & set(_WORD.findall(said.decode("utf-8", "replace"))):
            return False
    part = header.with_name("part.gch")
    subprocess.run([*command, "-o", str(part)], check=True)
    part.replace(header.with_name(header.name + ".gch"))
    return True


def main() -> None:
    """Make one; without it the sources only take longer."""
    header, names = Path(sys.argv[1]), [name for name in sys.argv[2].split(",") if name]
    try:
        what = "made" if make(header, names, sys.argv[4:]) else "left out"
    except subprocess.CalledProcessError as error:
        what = f"left out, the compiler ended with {error.returncode}"
    print(f"precompiled.py: {what}: {' '.join(header.read_text().split())}", flush=True)


if __name__ == "__main__":
    main()
