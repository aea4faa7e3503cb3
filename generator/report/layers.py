"""Which layers a bake adds to the base: read from the Dockerfiles that it was made from. Pure but for reading them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from generator.report.model import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_ARG = re.compile(r"ARG\s+(\w+)=(\S*)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
_LAYER = re.compile(r"(RUN|COPY|ADD|WORKDIR)\s+(.*)")
_HEREDOC = re.compile(r"<<-?[\"']?(\w+)[\"']?")
_OPENING, _CLOSING = ("for ", "while ", "if ", "case "), ("done", "fi", "esac")
_TIDIES = re.compile(r"(?:cd|rm|trap) |.*/tools/settle\.py$")
_LONGEST = 100  # characters of an instruction that are shown


def own_layers(contexts: Path, target: str = "image") -> tuple[tuple[str, str], ...]:
    """List the layers that a target's image has beyond the base, oldest first: target and instruction of each.

    Args:
        contexts: the rendered folder with a folder for each target. target: where to begin.

    Returns:
        nothing where the Dockerfile can't be read, or makes none.
    """
    try:
        text = (contexts / target / "Dockerfile").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    stages: dict[str, tuple[str, list[str]]] = {}
    parent = ""
    made: list[str] = []
    defaults: dict[str, str] = {}
    for instruction in _instructions(text):
        start = _FROM.match(instruction)
        if argument := _ARG.match(instruction):
            defaults.setdefault(argument[1], argument[2])
        if start:
            parent, made = _VARIABLE.sub(lambda name: defaults.get(name[1], ""), start[1]), []
            stages[start[2] or ""] = (parent, made)
        elif match := _LAYER.match(instruction):
            made.append(_cut(f"{match[1]} {_without_flags(match[2])}"))
    own = [(target, entry) for entry in made]
    while parent in stages:
        parent, made = stages[parent]
        own = [*((target, entry) for entry in made), *own]
    below = own_layers(contexts, parent) if parent not in ("", "base", "scratch", target) else ()
    return (*below, *own)


def joined(
    made: Sequence[tuple[str, str]], compressed: Sequence[int] | None, uncompressed: Sequence[int] | None
) -> tuple[Layer, ...]:
    """Put the sizes to the layers; all in the same order."""
    none = [None] * len(made)
    return tuple(
        Layer(target=target, instruction=instruction, compressed=small, uncompressed=large)
        for (target, instruction), small, large in zip(made, compressed or none, uncompressed or none, strict=True)
    )


def _instructions(text: str) -> Iterator[str]:
    """Logical lines of a Dockerfile, without comments and without the bodies of here-documents."""
    lines = iter(text.splitlines())
    for line in lines:
        logical = line.strip()
        if not logical or logical.startswith("#"):
            continue
        while logical.endswith("\\"):
            logical = logical[:-1].rstrip() + " " + next(lines, "").strip()
        for word in _HEREDOC.findall(logical):
            logical = f"{_HEREDOC.sub('', logical).rstrip()} {_last_command(lines, word)}"
        yield logical


def _last_command(lines: Iterator[str], word: str) -> str:
    """Read a here-document to its end; its last command is what the others prepare, but for those that tidy up.

    What stands in a loop or a condition is only done sometimes: such a command is given where there is no other.
    """
    command, plain, inner, depth, goes_on = "", "", "", 0, False
    for line in lines:
        text = line.strip()
        if text == word:
            break
        if not text or text.startswith("#"):
            continue
        if goes_on:
            command = f"{command.removesuffix(chr(92)).rstrip()} {text}"
        else:
            command = text
            depth += text.startswith(_OPENING)
        goes_on = text.endswith("\\")
        closing = command.split()[0] in _CLOSING
        if depth == 0 and not _TIDIES.match(command):
            plain = command
        elif depth and not closing and not command.startswith(_OPENING):
            inner = command
        depth -= closing and not goes_on
    return plain or inner


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _without_flags(text: str) -> str:
    return re.sub(r"^(?:--\S+\s+)+", "", text)
