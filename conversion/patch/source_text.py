"""Python source as bytes and as text: where a syntax tree's positions are, and insertions that touch nothing else.

A tree gives lines as Python's tokenizer counts them (ended by LF, CR LF or CR, and by nothing else) and
columns as UTF-8 bytes from the line's start, a byte order mark not counted, whatever the file's own encoding
is.
"""

from __future__ import annotations

import ast
import bisect
import io
import re
import tokenize
import warnings
from dataclasses import dataclass
from itertools import accumulate
from typing import Dict, Iterable, List, Sequence, Tuple, Union

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Unreadable(Exception):
    """The bytes can't be taken as Python source and given back unchanged."""


@dataclass(frozen=True)
class Insertion:
    """Text to put in front of the character at an offset, in place of so many characters there."""

    offset: int
    text: str
    instead_of: int = 0


@dataclass(frozen=True)
class Token:
    """A token that means something: comments and line breaks are left out. Offsets count characters."""

    start: int
    end: int
    text: str


def parse(source: Union[bytes, str]) -> ast.Module:
    """The syntax tree, without the warnings that old source gives.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: this Python can't parse it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


class SourceText:
    """A Python file's text.

    Args:
        source: the file's bytes, in the encoding that it declares (PEP 263), UTF-8 otherwise.

    Raises:
        Unreadable: an unknown or wrong encoding, or one in which the text can't be written back to the same
        bytes.
    """

    def __init__(self, source: bytes) -> None:
        try:
            self.encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
            self.text = source.decode(self.encoding)
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise Unreadable(f"its encoding: {error}") from error
        if self.text.encode(self.encoding) != source:
            raise Unreadable(f"its encoding {self.encoding} does not give the same bytes back")
        self.lines: List[str] = _LINE.findall(self.text)
        self.starts: List[int] = []
        self._columns: Dict[int, List[int]] = {}  # of a line with wide characters: each one's place in bytes
        offset = 0
        for line in self.lines:
            self.starts.append(offset)
            offset += len(line)

    def offset(self, line: int, column: int) -> int:
        """The character offset of a tree's position: line from 1, column in UTF-8 bytes."""
        text = self.lines[line - 1]
        if text.isascii():
            return self.starts[line - 1] + column
        if line not in self._columns:
            sizes = (len(character.encode("utf-8", "surrogatepass")) for character in text)
            self._columns[line] = [0, *accumulate(sizes)]
        return self.starts[line - 1] + bisect.bisect_left(self._columns[line], column)

    def place(self, offset: int) -> Tuple[int, int]:
        """Line and column of a character offset, both from 1, in characters."""
        line = bisect.bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def tokens(self) -> List[Token]:
        """The tokens that mean something, in order.

        Raises:
            Unreadable: Python's tokenizer does not follow.
        """
        plain = iter([re.sub(r"[\r\n]+$", "\n", line) for line in self.lines])
        skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
        skipped |= {tokenize.ENDMARKER, tokenize.ENCODING}
        found: List[Token] = []
        try:
            found.extend(
                Token(self._at(item.start), self._at(item.end), item.string)
                for item in tokenize.generate_tokens(lambda: next(plain, ""))
                if item.type not in skipped
            )
        except (tokenize.TokenError, SyntaxError, IndexError) as error:
            raise Unreadable(f"its tokens: {error}") from error
        return found

    def _at(self, position: Tuple[int, int]) -> int:
        line, column = position
        return self.starts[line - 1] + column if line <= len(self.starts) else len(self.text)

    def with_insertions(self, insertions: Iterable[Insertion]) -> bytes:
        """The file's bytes with the insertions made; all else is the same, byte for byte."""
        pieces: List[str] = []
        done = 0
        for item in sorted(insertions, key=lambda insertion: insertion.offset):
            pieces.append(self.text[done : item.offset])
            pieces.append(item.text)
            done = item.offset + item.instead_of
        pieces.append(self.text[done:])
        return "".join(pieces).encode(self.encoding)


def line_of(lines: Sequence[str], number: int) -> str:
    """A line's text without its ending; the empty string past the end."""
    return lines[number - 1].rstrip("\r\n") if 0 < number <= len(lines) else ""
