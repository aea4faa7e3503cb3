"""The shape of rendered files: what there is besides values. No value of a recipe may change it.

Of a Dockerfile: its instructions, and the signs that part its shell commands; of the bake file: its blocks and the
names of their attributes, with strings read as HCL reads them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

MARK = "fuzz"  # every text of the mutator that would be an instruction, a block or a command has this name
_INSTRUCTION = re.compile(r"\s*(FROM|RUN|COPY|ADD|ARG|ENV|LABEL|WORKDIR|USER|SHELL|ENTRYPOINT|CMD|STOPSIGNAL|EXPOSE)\s")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_HCL = re.compile(
    r'(?P<string>"(?:\\(?:[nrt"\\]|u[0-9a-f]{4}|U[0-9a-f]{8})|\$\$\{|%%\{|\$(?!\{)|%(?!\{)|[^"\\$%\n])*")'
    r"|(?P<template>\"(?:[^\"\\\n]|\\.)*\")|(?P<comment>#[^\n]*)|(?P<word>[\w.-]+)|(?P<sign>[^\s\w\"])|\s+"
)


class WrongShapeError(AssertionError):
    """A rendered file isn't what it has to be."""


def shape(files: Mapping[PurePosixPath, bytes]) -> dict[str, list[str]]:
    """Give the shape of every Dockerfile and bake file, by path.

    Raises:
        WrongShapeError: one is no such file, or a value became part of its code.
    """
    found = {}
    for path, content in files.items():
        if path.name == "Dockerfile":
            found[str(path)] = list(_instructions(content.decode(), str(path)))
        elif path.suffix == ".hcl":
            found[str(path)] = list(_signs(content.decode(), str(path)))
        elif path.suffix == ".json":
            json.loads(content)
    return found


def _instructions(text: str, path: str) -> Iterator[str]:
    if "\r" in text or "\0" in text:
        raise WrongShapeError(f"{path} holds a control character")
    lines = iter(text.split("\n"))
    for number, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("#"):
            if number and re.match(r"#\s*(syntax|escape|check)\s*=", line) and number < 2:
                yield line.split("=")[0]
            continue
        found = _INSTRUCTION.match(line)
        if found is None or line.split()[1:2] == [MARK]:
            raise WrongShapeError(f"{path}: no instruction of ours: {line[:200]!r}")
        logical = line
        while logical.endswith("\\"):
            following = next(lines, "")
            logical = logical[:-1] + ("\\" if following.lstrip().startswith("#") else following)
        for _, end in _HEREDOC.findall(logical):
            body = list(iter(lambda: next(lines, end), end))  # noqa: B023 - used up at once
            logical += "\n" + "\n".join(body)
        yield found[1]
        if found[1] == "RUN":
            yield from _commands(logical, path)


def _commands(text: str, path: str) -> Iterator[str]:
    """Give the signs that part a shell text into commands; what stands in quotes has none."""
    quoted = re.sub(r"'[^']*'|\\.|\"(?:\\.|[^\"\\])*\"", _inside, text)
    for sign, word in re.findall(r"(\$\(|`|;|&&|\|\|?|&|\n|>|<|\{\{)\s*(\w*)", quoted):
        if word == MARK:
            raise WrongShapeError(f"{path}: a value became a command: {text[:300]!r}")
        yield sign
    if re.search(r"\$\{?fuzz", quoted):
        raise WrongShapeError(f"{path}: a value became an expansion: {text[:300]!r}")


def _inside(match: re.Match[str]) -> str:
    """What the shell still does within a part in quotes: nothing, or expansions in double ones."""
    return "".join(re.findall(r"(?<!\\)(?:\$\(\s*\w*|`\s*\w*|\$\{\w*)", match[0])) if match[0].startswith('"') else "Q"


def _signs(text: str, path: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        found = _HCL.match(text, place)
        if found is None:
            raise WrongShapeError(f"{path}: no HCL: {text[place : place + 80]!r}")
        place = found.end()
        if found["template"] and MARK in str(re.findall(r"[$%]\{[^}]*", found["template"])):
            raise WrongShapeError(f"{path}: a value became a template: {found['template'][:200]}")
        if found["word"] == MARK:
            raise WrongShapeError(f"{path}: a value became code: {text[max(0, place - 80) : place]!r}")
        if found["sign"] or found["word"]:
            yield found["sign"] or found["word"]
