"""What a codemod is: a function of one file's source, and the shapes of what it tells of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Iterator, Mapping, Optional, Tuple

SHOWN = 300  # characters of a line in a report


@dataclass(frozen=True)
class Edit:
    """A changed call: its place (from 1, columns in characters) and the first changed line, before and after."""

    line: int
    column: int
    before: str
    after: str


@dataclass(frozen=True)
class Undecided:
    """A place that a person has to look at.

    Attributes:
        line, column: from 1.
        code: the line.
        reason: why it was left.
        bare: True where the call certainly runs as it is.
    """

    line: int
    column: int
    code: str
    reason: str
    bare: bool = False


@dataclass(frozen=True)
class Result:
    """What a codemod made of one file; `source` is the given bytes where nothing was changed.

    Attributes:
        source, edits, undecided: as said.
        error: why the file can't be read; None where it can.
        exports: the module's own names for what is changed, each with what it is: those that import them are looked at
            again.
    """

    source: bytes
    edits: Tuple[Edit, ...] = ()
    undecided: Tuple[Undecided, ...] = ()
    error: Optional[str] = None
    exports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Codemod:
    """One kind of call that is changed.

    Attributes:
        call: what it is, as reports name it: "torch.load".
        transform: makes a `Result` of a file's bytes, and of the names that other files export ("module.name"), with
            what each is. It never raises for what is in the file.
        in_text: line and column (from 1) and text of each mention in a file that isn't read as Python.
    """

    call: str
    transform: Callable[[bytes, Mapping[str, str]], Result]
    in_text: Callable[[str], Iterator[Tuple[int, int, str]]]


def shown(line: str) -> str:
    """A line as a report shows it: without the spaces around it, and not endless."""
    return line.strip() if len(line) <= SHOWN else line[:SHOWN].strip() + "…"
