"""Sources of one extension module that are compiled together: most of a compile is reading the same headers again.

A group is a source that includes its members one after the other. Its object takes the place of the first member's;
those of the others are empty. Groups are chosen by what the sources say and by nothing else, so one source gives one
wheel on every machine; and a change of a member compiles its group again, which takes little longer than the member.

Members have to be small, and each has to mean the same as on its own. Where that can't be seen they stay apart:

- The headers from outside the package that members reach are the same, whatever the conditions around an include.
- What one introduces outside functions no other mentions, and no header that both include, but for the declaration of
  what it implements; not even that where it may be an internal name (``static``, a namespace without a name).
- A macro that one defines or undefines, no other and no common header mentions; it ends with its source. A header that
  defines macros is included by all or by none.
- They open the same namespaces (``using namespace``), and no header of one has the guard of another one's.
- Apart from what all include, there is neither a macro nor a condition before an include.
- A source stays alone that says, itself or in a header, how code is made (``#pragma`` but for harmless ones,
  ``_Pragma``), that touches ``NDEBUG``, that includes what a macro names, or whose braces can't be followed.

This reads text; it is no compiler. What it can't see: names that macros put together, headers that read the same in
another order and mean something else, conditional includes in headers from outside, and what is found by argument
type in a template of a common header. So it is for the recipe's author to ask for it (``compile-together``), and to
compare the results.

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
_NAMESPACE = re.compile(r"\bnamespace\s+(\w+)\s*\{")
_OPERATOR = re.compile(r"\boperator\b")
_TEMPLATE = re.compile(r"\btemplate\s*<")
# A name that is introduced: of what is called or set or ends here, of a type, an alias or an enumerator list.
_INTRODUCED = re.compile(
    r"(?:\b(?:class|struct|union|enum|namespace|concept)\s+|\b(?=[A-Za-z_]\w*\s*[(=\[;{]))([A-Za-z_]\w*)"
)
# What the first pattern finds and is no name.
_NO_NAMES = frozenset(
    "alignas auto bool char const decltype default delete double explicit extern final float inline int long "  # noqa: SIM905
    "namespace noexcept override requires return short signed sizeof static throw typename unsigned using void".split()
)
# Pragmas that say nothing of the code after the next statement.
_HARMLESS_PRAGMA = re.compile(
    r"once\b|message\b|(no)?unroll\b|(GCC|clang)\s+diagnostic\b|(nv_)?diag_\w+|(hd_warning|nv_exec_check)_disable\b"
    r"|omp\s+(parallel|for|simd|critical|atomic|barrier)\b"
)
_INTERNAL = re.compile(r"\bstatic\b|\bnamespace\s*\{")
_CHANGES = ("define", "undef", "if", "ifdef", "ifndef")  # what a header may read, or make true
_READ_AGAIN = frozenset({"NDEBUG"})  # <cassert> has no guard


@dataclass(frozen=True)
class Text:
    """What a file says: a source, or a header of the package."""

    lines: int
    guard: str  # the name by which it is read once; its own path for #pragma once, "" for neither
    includes: tuple[str, ...]
    macros: frozenset[str]  # defined or undefined
    names: frozenset[str]
    internal: frozenset[str]  # names that may be of this source alone
    namespaces: frozenset[str]
    words: frozenset[str]
    using: frozenset[str]
    early: bool  # a header may mean something else after what stands before it
    alone: bool  # no source may come before or after it
    followed: bool  # its braces were


@dataclass(frozen=True)
class Source:
    """A source, all files of the package that it includes, itself among them, and the names of all others."""

    path: Path
    files: Mapping[Path, Text]
    outside: frozenset[str]

    @property
    def text(self) -> Text:
        """What it says itself."""
        return self.files[self.path]

    @property
    def using(self) -> frozenset[str]:
        """The namespaces that any of its files opens."""
        return frozenset().union(*(text.using for text in self.files.values()))

    @property
    def is_alone(self) -> bool:
        """Whether it is in no group for what one of its files says, or since that can't be followed."""
        return any(text.alone or not text.followed for text in self.files.values())


@cache
def read(file: Path) -> Text:
    """Read a file."""
    raw = file.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    includes = tuple(_INCLUDE.findall(_COMMENT_OR_TEXT.sub(_without_comment, raw)))
    code = _COMMENT_OR_TEXT.sub(lambda found: '""' if found[0].endswith('"') else " ", raw)
    directives = [(found[1], found[2].strip()) for found in _DIRECTIVE.finditer(code)]
    macros = [
        words.split("(")[0].split(None, 1)[0] for name, words in directives if name in ("define", "undef") and words
    ]
    guard = _guard(directives, file)
    order = [name for name, _ in directives[2 if guard and guard != str(file) else 0 :]]
    last_include = len(order) - order[::-1].index("include") if "include" in order else 0
    plain = _DIRECTIVE.sub("", code)
    outside = outline(_USING.sub("", plain))
    names = introduced(outside or "")
    words = frozenset(_WORD.findall(code))
    return Text(
        lines=sum(bool(line.strip()) for line in code.splitlines()),
        guard=guard,
        includes=includes,
        macros=frozenset(macros) - {guard},
        names=names,
        internal=names if _INTERNAL.search(outside or "") else frozenset(),
        namespaces=frozenset(_NAMESPACE.findall(plain)),
        words=words,
        using=frozenset(_USING.findall(plain)),
        early=any(name in _CHANGES for name in order[:last_include]),
        alone="_Pragma" in words
        or bool(_READ_AGAIN & set(macros))
        or order.count("include") > len(includes)
        or any(name == "pragma" and not _HARMLESS_PRAGMA.match(said) for name, said in directives),
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


def _found(name: str, folders: Iterable[Path]) -> Path | None:
    return next((absolute(folder / name) for folder in folders if (folder / name).is_file()), None)


@cache
def _includes(file: Path) -> tuple[str, ...]:
    return tuple(_INCLUDE.findall(file.read_text(encoding="utf-8", errors="replace")))


@cache
def reached(name: str, folders: tuple[Path, ...]) -> frozenset[str]:
    """Give a header that is not the package's with all that it includes, whatever the conditions."""
    known: set[str] = set()
    waiting = [(name, folders)]
    while waiting:
        name, places = waiting.pop()
        file = _found(name, places)
        if str(file or name) in known:
            continue
        known.add(str(file or name))
        if file:
            waiting += [(other, (file.parent, *folders)) for other in _includes(file)]
    return frozenset(known)


def source(path: Path, own: Sequence[Path], foreign: tuple[Path, ...] = ()) -> Source:
    """Read a source with all that it includes. own, foreign: where headers are looked for, the package's first."""
    files: dict[Path, Text] = {}
    outside = set(reached("cuda_runtime.h", foreign)) if path.suffix == ".cu" else set()  # nvcc's own first line
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files[file] = read(file)
        for name in files[file].includes:
            found = _found(name, (file.parent, *own))
            if found:
                waiting.append(found)
            else:
                outside |= reached(name, foreign)
    return Source(path, files, frozenset(outside))


def meet(one: Source, other: Source) -> str:
    """Tell why two sources can't be compiled together; "" where they can."""
    if one.using != other.using:
        return "using namespace"
    if one.outside != other.outside:
        return f"not both include {' '.join(sorted(one.outside ^ other.outside))}"
    shared = set(one.files) & set(other.files)
    known = frozenset().union(*(one.files[file].names for file in shared))
    namespaces = frozenset().union(*(one.files[file].namespaces for file in shared))
    said = frozenset().union(*(one.files[file].words for file in shared))
    for file in shared:
        if not one.files[file].guard and (one.files[file].names or one.files[file].macros):
            return f"{file.name} has no guard"
    for these, those in ((one, other), (other, one)):
        mine = [text for file, text in these.files.items() if file not in shared]
        if any(text.early or (text.macros and text is not these.text) for text in mine):
            return "a header may mean something else"
        names = frozenset().union(*(text.names for text in mine))
        own = frozenset().union(*(text.internal | text.macros | {text.guard} for text in mine))
        mentioned = frozenset().union(*(text.words for file, text in those.files.items() if file not in shared))
        clash = ((names - namespaces | own) & mentioned) | ((names - known | own) & said)
        if clash:
            return " ".join(sorted(clash))
    guards = {text.guard: file for file, text in one.files.items() if text.guard}
    same = next((text.guard for file, text in other.files.items() if guards.get(text.guard, file) != file), "")
    return same and f"guard {same}"


def _fits(new: Source, members: Sequence[Source]) -> bool:
    lines = new.text.lines + sum(member.text.lines for member in members)
    same = KINDS[members[0].path.suffix] == KINDS[new.path.suffix]
    return same and lines <= LONGEST_GROUP and not any(meet(new, member) for member in members)


def choose(paths: Iterable[str], folders: Iterable[str], top: Path) -> list[list[Path]]:
    """Choose the groups of a module's sources, each of two members at least.

    Args:
        paths: the sources. folders: where the module's headers are looked for; those below ``top`` are its own.
            top: the package's folder.
    """
    places = [absolute(folder) for folder in folders]
    own = [folder for folder in places if top in (folder, *folder.parents)]
    foreign = tuple(folder for folder in places if folder not in own)
    groups: list[list[Source]] = []
    for path in sorted({absolute(path) for path in paths}):
        new = source(path, own, foreign) if path.suffix in KINDS and path.is_file() else None
        if new is None or new.is_alone or new.text.lines > LONGEST_MEMBER:
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
