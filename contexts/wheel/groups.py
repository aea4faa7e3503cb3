"""Sources of one extension module that are compiled together: most of a compile is reading the same headers again.

A group is a source that includes its members one after the other. Its object takes the place of the first member's;
those of the others are empty. Groups are chosen by what the sources say and by nothing else, so one source gives one
wheel on every machine; and a change of a member compiles its group again, which takes little longer than the member.

PyTorch3D 0.7.9 for four archs on 16 cores: 1,104 CPU seconds instead of 2,453, in 18 compiles instead of 67; all 3,008
device functions are equal to the byte, and so are the exported symbols. Members have to be small, and each has to mean
the same as on its own:

- what one introduces outside functions, or defines as a macro, no other mentions (what a header of the package says is
  exempt where both include it); a source's macros end with it;
- they open the same namespaces (``using namespace``), and no header of one has the guard of another one's;
- a source that defines a macro before it includes a header, or that says how code is made (``#pragma pack`` and the
  like), stays alone; so does one whose braces can't be followed.

A group that a compiler refuses is taken apart: its members are compiled one by one, as without it.
Standard library only; runs inside a compile target, on the frozen image's Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COMPILER = "/usr/bin/c++"
MEMBERS = ".members"  # after a group's name: its members and their objects; slot.py looks for it
KINDS = {".cu": ".cu", ".cpp": ".cpp", ".cc": ".cpp", ".cxx": ".cpp"}
# Lines of code. A longer source takes its time by itself, and a longer group is the last one to end.
LONGEST_MEMBER, LONGEST_GROUP = 400, 1200

_COMMENT_OR_TEXT = re.compile(
    r'/\*.*?\*/|//[^\n]*|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL
)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)[ \t]*(.*)$", re.MULTILINE)
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[\"<]([^\">]+)[\">]", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_USING = re.compile(r"\busing\s+namespace\s+([\w:]+)")
_OPENS_NAMESPACE = re.compile(r'(\bnamespace\b[\w\s:]*|\bextern\s*""\s*)$')
_OPERATOR = re.compile(r"\boperator\b")
_TEMPLATE = re.compile(r"\btemplate\s*<")
# A name that is introduced: of what is called or set or ends here, of a type, an alias or an enumerator list.
_INTRODUCED = re.compile(
    r"(?:\b(?:class|struct|union|enum|namespace|concept)\s+|\b(?=[A-Za-z_]\w*\s*[(=\[;{]))([A-Za-z_]\w*)"
)
# What the first pattern finds and is no name.
_NO_NAMES = frozenset(
    "alignas auto bool char const decltype default delete double explicit extern final float inline int long noexcept "  # noqa: SIM905
    "override requires return short signed sizeof static throw typename unsigned using void".split()
)
_CODE_PRAGMA = re.compile(r"(GCC|clang|nv_)?\s*(optimize|push_options|pop_options|target|pack|omp declare)\b")


@dataclass(frozen=True)
class Text:
    """What a file says: a source, or a header of the package."""

    lines: int
    guard: str  # the name by which it is read once; its own path for #pragma once, "" for neither
    includes: tuple[str, ...]
    macros: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]
    using: frozenset[str]
    alone: bool  # no source may come before or after it
    followed: bool  # its braces were


@dataclass(frozen=True)
class Source:
    """A source and all files of the package that it includes, itself among them."""

    path: Path
    files: Mapping[Path, Text]

    @property
    def text(self) -> Text:
        """What it says itself."""
        return self.files[self.path]

    @property
    def is_followed(self) -> bool:
        """Whether the braces of all its files were."""
        return all(text.followed for text in self.files.values())


@cache
def read(file: Path) -> Text:
    """Read a file."""
    raw = file.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    includes = tuple(_INCLUDE.findall(_COMMENT_OR_TEXT.sub(_without_comment, raw)))
    code = _COMMENT_OR_TEXT.sub(lambda found: '""' if found[0].endswith('"') else " ", raw)
    directives = [(found[1], found[2].strip()) for found in _DIRECTIVE.finditer(code)]
    macros = [words.split("(")[0].split(None, 1)[0] for name, words in directives if name == "define" and words]
    order = [name for name, _ in directives if name in ("include", "define")]
    last_include = len(order) - order[::-1].index("include") if "include" in order else 0
    guard = _guard(directives, file)
    early = order[:last_include].count("define") - bool(guard and guard == (macros or [""])[0])
    plain = _DIRECTIVE.sub("", code)
    outside = outline(_USING.sub("", plain))
    return Text(
        lines=sum(bool(line.strip()) for line in code.splitlines()),
        guard=guard,
        includes=includes,
        macros=frozenset(macros) - {guard},
        names=introduced(outside or ""),
        words=frozenset(_WORD.findall(code)),
        using=frozenset(_USING.findall(plain)),
        alone=early > 0 or any(name == "pragma" and _CODE_PRAGMA.match(words) for name, words in directives),
        followed=outside is not None,
    )


def _without_comment(found: re.Match[str]) -> str:
    return " " if found[0].startswith("/") else found[0]


def _guard(directives: Sequence[tuple[str, str]], file: Path) -> str:
    if ("pragma", "once") in directives:
        return str(file)
    (first, name), (second, defined) = [*directives, ("", ""), ("", "")][:2]
    return name if (first, second) == ("ifndef", "define") and name == defined else ""


def introduced(outside: str) -> frozenset[str]:
    """Name what code introduces, of which just the outline is given; rather too much than too little."""
    found = {name for name in _INTRODUCED.findall(outside) if name not in _NO_NAMES}
    return frozenset(found | {"operator"} if _OPERATOR.search(outside) else found)


def outline(code: str) -> str | None:
    """Leave out what stands in parentheses, braces (but for those of namespaces) and template heads.

    None where they don't match, as with conditions around half a function.
    """
    kept: list[str] = []
    open_at: list[bool] = []  # of each that is open: whether it is left out
    place = 0
    while place < len(code):
        sign, inside = code[place], any(open_at)
        head = None if inside else _TEMPLATE.match(code, place)
        if head:
            place = _after_angles(code, head.end())
            continue
        if sign in "({":
            namespace = sign == "{" and not inside and _OPENS_NAMESPACE.search("".join(kept[-200:]))
            open_at.append(not namespace)
        elif sign in ")}":
            if not open_at:
                return None
            open_at.pop()
        if not inside and (sign not in ")}" or not any(open_at)):
            kept.append(sign)
        place += 1
    return None if open_at else "".join(kept)


def _after_angles(code: str, place: int) -> int:
    depth = 1
    while depth and place < len(code):
        depth += {"<": 1, ">": -1}.get(code[place], 0)
        place += 1
    return place


def absolute(path: str | Path) -> Path:
    """Give a path from the root on."""
    return Path(os.path.abspath(path))  # noqa: PTH100  a link stays one


def source(path: Path, folders: Sequence[Path]) -> Source:
    """Read a source with all that it includes of the package. folders: where headers are looked for."""
    files: dict[Path, Text] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files[file] = read(file)
        for name in files[file].includes:
            found = next((folder / name for folder in (file.parent, *folders) if (folder / name).is_file()), None)
            if found:
                waiting.append(absolute(found))
    return Source(path, files)


def meet(one: Source, other: Source) -> str:
    """Tell why two sources can't be compiled together; "" where they can."""
    if one.text.using != other.text.using:
        return "using namespace"
    shared = set(one.files) & set(other.files)
    known = frozenset().union(*(one.files[file].names | one.files[file].macros for file in shared))
    for file in shared:
        if not one.files[file].guard and (one.files[file].names or one.files[file].macros):
            return f"{file.name} has no guard"
    for these, those in ((one, other), (other, one)):
        mine = [text for file, text in these.files.items() if file not in shared]
        theirs = [
            *(text for file, text in those.files.items() if file not in shared),
            *(these.files[file] for file in shared),
        ]
        new = frozenset().union(*(text.names | text.macros for text in mine)) - known
        mentioned = frozenset().union(*(text.words for text in theirs))
        if new & mentioned:
            return " ".join(sorted(new & mentioned))
    guards = {text.guard: file for file, text in one.files.items() if text.guard}
    clash = next((text.guard for file, text in other.files.items() if guards.get(text.guard, file) != file), "")
    return clash and f"guard {clash}"


def _fits(new: Source, members: Sequence[Source]) -> bool:
    lines = new.text.lines + sum(member.text.lines for member in members)
    same = KINDS[members[0].path.suffix] == KINDS[new.path.suffix]
    return same and lines <= LONGEST_GROUP and not any(meet(new, member) for member in members)


def choose(paths: Iterable[str], folders: Iterable[str], top: Path) -> list[list[Path]]:
    """Choose the groups of a module's sources, each of two members at least.

    Args:
        paths: the sources. folders: where the module's headers are looked for; only those below ``top`` count.
            top: the package's folder.
    """
    own = [folder for folder in map(absolute, folders) if top in (folder, *folder.parents)]
    groups: list[list[Source]] = []
    for path in sorted({absolute(path) for path in paths}):
        new = source(path, own) if path.suffix in KINDS and path.is_file() else None
        if new is None or new.text.alone or new.text.lines > LONGEST_MEMBER or not new.is_followed:
            continue
        fitting = (members for members in groups if _fits(new, members))
        members = next(fitting, None)
        if members is None:
            groups.append([new])
        else:
            members.append(new)
    return [[member.path for member in members] for members in groups if len(members) > 1]


def write(members: Sequence[Path], folder: Path) -> Path:
    """Write the source of a group; each member's own macros end with it."""
    digest = hashlib.sha256("\n".join(os.path.relpath(member, folder) for member in members).encode()).hexdigest()
    file = folder / f"{members[0].stem}-{digest[:8]}{KINDS[members[0].suffix]}"
    lines = []
    for member in members:
        lines += [f'#include "{member}"', *(f"#undef {name}" for name in sorted(read(member).macros))]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def merge(
    groups: Mapping[Path, Sequence[Path]], sources: Sequence[str], objects: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Put groups in the place of their members; notes beside each what becomes of its members' objects."""
    found = {absolute(name): (str(absolute(name)), made) for name, made in zip(sources, objects, strict=True)}
    for file, members in groups.items():
        pairs = [found.pop(member) for member in members]
        found[file] = (str(file), pairs[0][1])
        Path(f"{file}{MEMBERS}").write_text(json.dumps(pairs), encoding="utf-8")
    return [name for name, _ in found.values()], [made for _, made in found.values()]


def members_of(source: str) -> list[list[str]]:
    """Give the members of a group, each with its object."""
    found: list[list[str]] = json.loads(Path(f"{source}{MEMBERS}").read_text(encoding="utf-8"))
    return found


def leave_empty(pairs: Sequence[Sequence[str]]) -> None:
    """Make the objects of all members but the first: what they would hold is in that."""
    for _, made in pairs[1:]:
        subprocess.run([COMPILER, "-x", "c++", "-c", "/dev/null", "-o", made], check=True)


def take_apart(call: Sequence[str], file: str, pairs: Sequence[Sequence[str]], said: str) -> int:
    """Compile the members of a group that failed one by one, each as the group was called; gives the exit status."""
    reason = next((line for line in said.splitlines() if "error" in line), said.strip()[-200:])
    names = ", ".join(Path(member).name for member, _ in pairs)
    print(f"groups.py: compiled one by one: {names}; together: {reason}", file=sys.stderr, flush=True)
    running = [
        subprocess.Popen([{file: member, pairs[0][1]: made}.get(word, word) for word in call]) for member, made in pairs
    ]
    return max(process.wait() for process in running)
