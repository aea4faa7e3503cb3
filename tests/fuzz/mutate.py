"""Makes input worse: edits of its bytes, and of the values of a document. The same draw gives the same input."""

from __future__ import annotations

import copy
import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import tomli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    Mutator = Callable[[Random, Sequence[bytes]], bytes]

# What a text may do where it is written to a Dockerfile, to HCL, to a shell command or a terminal.
TEXTS = (
    *("", " ", "\n", "\r", "\0", "\x1b[2J", "\x85", "\u2028", "\u202e", "\ud7ff", "\U0001f9e0", "é", "\ufeff"),
    *("\nRUN fuzz", "\nFROM fuzz", " \\\n RUN fuzz", "\nEOF\nRUN fuzz\n", "# syntax=fuzz"),
    *('"', "'", "`", "\\", "\\\\", "$", "${fuzz}", "%{fuzz}", "$(fuzz)", "`fuzz`", "; fuzz ;", "' ; fuzz ; '"),
    *('" ; fuzz ; "', '"\n}\ntarget "fuzz" {\n  a = "', "&& fuzz", "| fuzz", "> /fuzz", "{{ fuzz }}", "{% fuzz %}"),
    *("../../fuzz", "/", "-", "--fuzz", "*", "?", "[", "]", "{", "}", ",", "=", ":", "@", "+", "%s", "%", "#", "//"),
    *("0", "-1", "1e999", "nan", "9" * 30, "9" * 5000, "a" * 300, "a" * 70_000, "(" * 500, "null", "true"),
)
VALUES: tuple[Any, ...] = (
    *(True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, float("inf"), float("nan")),
    *("", "fuzz", [], {}, [[]], [{}], {"": ""}, {"fuzz": "fuzz"}, [0], ["fuzz"], [None], None),
    *(date(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),  # noqa: DTZ001 - TOML has local ones
)
_DEPTHS = (3, 90, 1200, 20_000)
MARK = "fuzzmark"  # stands in a recipe where a text of these goes
NEXT = b"\n--next--\n"  # between two answers of a registry
_PIECES = tuple(text.encode("utf-8") for text in TEXTS)


def of_bytes(draw: Random, seeds: Sequence[bytes]) -> bytes:
    """Edit one of the seeds a few times, whatever it holds."""
    content = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 5, 8))):
        draw.choice(_BYTES)(draw, content, seeds)
    return bytes(content)


def _span(draw: Random, content: bytes | bytearray) -> slice:
    start = draw.randint(0, len(content))
    return slice(start, min(len(content), start + draw.choice((0, 1, 2, 4, 8, 30, 200, 5000))))


def _flip(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def _put(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    content[_span(draw, content)] = draw.choice(_PIECES)


def _cut(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    del content[_span(draw, content)]


def _end(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    del content[draw.randint(0, len(content)) :]


def _again(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    part = content[_span(draw, content)]
    content[_span(draw, content)] = part * draw.choice((1, 2, 2, 20))


def _splice(draw: Random, content: bytearray, seeds: Sequence[bytes]) -> None:
    other = draw.choice(seeds)
    content[_span(draw, content)] = other[_span(draw, other)]


def _nest(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    opening, closing = draw.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"{a=", b"}"), (b"-", b"")))
    depth = draw.choice(_DEPTHS)
    content[_span(draw, content)] = opening * depth + draw.choice((b"", b"1", closing * depth))


def _noise(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    content[_span(draw, content)] = draw.randbytes(draw.choice((1, 2, 4, 40)))


def _lines(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    lines = content.splitlines(keepends=True)
    if len(lines) > 1:
        first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
        content[:] = b"".join(lines)


def _number(draw: Random, content: bytearray, _: Sequence[bytes]) -> None:
    digits = [place for place, byte in enumerate(content) if byte in b"0123456789"]
    if digits:
        place = draw.choice(digits)
        content[place : place + 1] = draw.choice((b"0", b"-1", b"9" * 12, b"9" * 40, b"9" * 5000, b"1e999", b"0x1"))


_BYTES = (_flip, _put, _put, _cut, _end, _again, _splice, _nest, _noise, _lines, _number)


def of_documents(parse: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Mutator:
    """Make the mutator that edits values of a document: other types, other texts, keys gone, doubled or moved."""

    def mutate(draw: Random, seeds: Sequence[bytes]) -> bytes:
        document = parse(draw.choice(seeds))
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            document = edited(draw, document)
        return write(document)

    return mutate


def edited(draw: Random, document: Any) -> Any:
    """Give a document with one value edited."""
    holder: Any = {"": copy.deepcopy(document)}
    inner, key = draw.choice([place for place in places(holder) if place[0] is not holder] or [(holder, "")])
    draw.choice(_EDITS)(draw, holder[""], inner, key)  # where that is all there is, it may be gone
    return holder.get("")


def places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Give every value's table or list, and its key or index there."""
    waiting = [holder]
    while waiting:
        inner = waiting.pop()
        for key in inner if isinstance(inner, dict) else range(len(inner)):
            yield inner, key
            if isinstance(inner[key], (dict, list)):
                waiting.append(inner[key])


def _other(draw: Random, _: Any, inner: Any, key: Any) -> None:
    inner[key] = copy.deepcopy(draw.choice(VALUES))


def _text(draw: Random, _: Any, inner: Any, key: Any) -> None:
    old = inner[key] if isinstance(inner[key], str) else ""
    place = draw.choice((0, len(old), draw.randint(0, len(old))))
    inner[key] = old[:place] + draw.choice(TEXTS) + old[place:]


def _gone(_draw: Random, _: Any, inner: Any, key: Any) -> None:
    del inner[key]


def _renamed(draw: Random, _: Any, inner: Any, key: Any) -> None:
    if isinstance(inner, dict):
        inner[draw.choice((f"{key}{draw.choice(TEXTS)}", key[1:], f"{key}-1"))] = inner.pop(key)
    else:
        inner.insert(key, inner[key])


def _moved(draw: Random, document: Any, inner: Any, key: Any) -> None:
    if isinstance(document, (dict, list)):
        inner[key] = copy.deepcopy(draw.choice([there[at] for there, at in places(document)] or [None]))


def _wrapped(draw: Random, _: Any, inner: Any, key: Any) -> None:
    for _level in range(draw.choice((1, 2, 40))):
        inner[key] = draw.choice(([inner[key]], {"fuzz": inner[key]}))


def _many(draw: Random, _: Any, inner: Any, key: Any) -> None:
    inner[key] = (
        [inner[key]] * draw.choice((2, 300)) if draw.random() < 0.5 else {f"k{i}": inner[key] for i in range(300)}
    )


_EDITS = (_other, _other, _text, _text, _text, _gone, _renamed, _moved, _wrapped, _many)


def either(*mutators: Mutator) -> Mutator:
    """Make the mutator that is one of several, each as often as it is given."""
    return lambda draw, seeds: draw.choice(mutators)(draw, seeds)


def _as_json(document: Any) -> bytes:
    return json.dumps(document, default=str).encode()


def _json_lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines() if line.startswith(b"{")]


def _as_json_lines(document: Any) -> bytes:
    return b"\n".join(_as_json(line) for line in (document if isinstance(document, list) else [document]))


def as_toml(document: Any) -> str:
    """Write a document as TOML: tables with headers, what lies in lists inline; None, which TOML lacks, is left out."""
    out: list[str] = []

    def table(path: str, content: dict[str, Any]) -> None:
        inner = {key: value for key, value in content.items() if isinstance(value, dict) and value}
        out.extend(
            f"{_quoted(key)} = {_inline(value)}"
            for key, value in content.items()
            if key not in inner and value is not None
        )
        for key, value in inner.items():
            below = f"{path}.{_quoted(key)}" if path else _quoted(key)
            out.append(f"\n[{below}]")
            table(below, value)

    table("", document if isinstance(document, dict) else {"fuzz": document})
    return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        rows = (f"{_quoted(key)} = {_inline(inner)}" for key, inner in value.items() if inner is not None)
        return "{" + ", ".join(rows) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value if item is not None) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value).lower() if isinstance(value, (bool, float)) else str(value)


def parsed_toml(content: bytes) -> Any:
    """Read TOML."""
    return tomli.loads(content.decode())


toml_values = of_documents(parsed_toml, lambda document: as_toml(document).encode())
json_values = of_documents(json.loads, _as_json)
json_line_values = of_documents(_json_lines, _as_json_lines)
of_toml = either(of_bytes, toml_values, toml_values)
of_json = either(of_bytes, json_values, json_values)
of_json_lines = either(of_bytes, json_line_values, json_line_values)


def toml_texts(draw: Random, seeds: Sequence[bytes]) -> bytes:
    """Put a mark into one text of a recipe; behind NUL, the text that takes its place in a second recipe.

    Both are of one structure, and what is rendered from them has to be.
    """
    document = parsed_toml(draw.choice(seeds))
    texts = [(inner, key) for inner, key in places(document) if isinstance(inner[key], str)]
    inner, key = draw.choice(texts)
    old = inner[key]
    place = draw.choice((0, len(old), draw.randint(0, len(old))))
    inner[key] = f"{old[:place]}{MARK}{old[place:]}"
    return as_toml(document).encode() + b"\0" + draw.choice(TEXTS[1:]).encode()


def of_answers(draw: Random, seeds: Sequence[bytes]) -> bytes:
    """Edit answers of a registry: the bytes, or the values of a JSON body."""
    answers = draw.choice(seeds).split(NEXT)
    number = draw.randrange(len(answers))
    head, blank, body = answers[number].partition(b"\r\n\r\n")
    if body.startswith(b"{") and draw.random() < 0.7:
        answers[number] = head + blank + json_values(draw, [body.strip()])
    else:
        answers[number] = of_bytes(draw, [answers[number]])
    return NEXT.join(answers)
