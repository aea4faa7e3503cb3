"""Text of others (logs, names, answers of registries) made fit to show: terminals and CI systems obey some of it."""

from __future__ import annotations

import re

# Sequences of ECMA-48 with 7-bit (ESC) and 8-bit (C1) introducers, all other control characters but tab and line feed,
# and what reorders a line (Unicode, UAX 9: embeddings, overrides, isolates), so that it reads as another one.
_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]P^_X]|[\x9d\x90\x9e\x9f\x98])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[@-Z\\^_]"
    rf"|[{_CONTROL}]"
)
# GitHub's runner obeys a line that begins with "::" after blanks, and "##[" anywhere; Azure's "##vso[".
_COMMAND = re.compile(r"^([^\S\n]*)(?=::)", re.MULTILINE)
_OLD_COMMAND = re.compile(r"##(?=\w*(?:\[|\Z))")  # the bracket may follow in another piece of text
# The characters by which a document of JSON or XML would be obeyed; both have another way to write each of them.
_OBEYED = re.compile(rf"[{_CONTROL}]|(?<=#)#(?=\w*\[)|(?<!\S):(?=:)")


def without_escapes(text: str) -> str:
    """Drop colours and other control sequences of a terminal."""
    return _ESCAPES.sub("", text)


def printable(text: str) -> str:
    """Drop control sequences, and let no line be a command to the CI system that reads it."""
    return _OLD_COMMAND.sub("## ", _COMMAND.sub(r"\1| ", without_escapes(text)))


def printable_document(text: str) -> str:
    """Let no line of a document be a command, as ``printable`` does; one of JSON or XML means the same as before."""
    start = text.lstrip()[:1]
    if start and start in "{[":
        return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if start == "<":
        return _OBEYED.sub(lambda found: f"&#{ord(found[0])};", text)
    return printable(text)
