"""Says in sentences what pydantic found wrong in a TOML file: the line, the key, a near match."""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bake.address import quoted
from generator.recipe.places import line_of

if typing.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import ValidationError

KIND = "source"  # the key that tells the kinds of a section apart
SHOWN = 100  # characters of a value in a message


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The keys of a place in the file, the section that the last one stands in, and all kinds that it could be of."""

    keys: tuple[str | int, ...]
    section: type[BaseModel] | None
    kinds: tuple[type[BaseModel], ...]


def explained(
    error: ValidationError, lines: dict[tuple[str, ...], int], *, root: type[BaseModel]
) -> list[tuple[int | None, str]]:
    """Turn what pydantic found in a TOML file into sentences: the line, if it is known, and the message.

    Args:
        error: what it found. lines: see ``key_lines``. root: the class of the whole file, for near matches of keys.
    """
    found = []
    for detail in _causes(error):
        kind = (KIND,) if detail["type"].startswith("union_tag") else ()  # its place is the section
        place = _place((*detail["loc"], *kind), root)
        found.append((line_of(lines, place.keys), f"{'.'.join(map(str, place.keys))}: {_message(detail, place)}"))
    return found


def _causes(error: ValidationError) -> list[Any]:
    """Leave out what only follows: a list counts as too short when its entries were refused."""
    details = error.errors()
    places = [detail["loc"] for detail in details]

    def follows(detail: Any) -> bool:
        return detail["type"] == "too_short" and any(
            place[: len(detail["loc"])] == detail["loc"] and place != detail["loc"] for place in places
        )

    return [detail for detail in details if not follows(detail)]


def _message(detail: Any, place: _Place) -> str:
    key, kind = str(place.keys[-1]), detail["type"]
    if kind == "extra_forbidden":
        return _unknown(key, place)
    if kind == "missing":
        field = _fields(place.section).get(key)
        return f"missing; {field.description}" if field is not None and field.description else "missing"
    if kind == "union_tag_not_found":
        return f"missing; it is one of {_kinds(place)}"
    if kind == "union_tag_invalid":
        return f"{shortened(detail['ctx']['tag'])} is none of {_kinds(place)}"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, not {shortened(detail['input'])}"


def shortened(value: object) -> str:
    """Write a value of the file for a message."""
    text = quoted(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _kinds(place: _Place) -> str:
    return ", ".join(f'"{_tag(kind)}"' for kind in place.kinds)


def _unknown(key: str, place: _Place) -> str:
    used = [f'"{_tag(kind)}"' for kind in place.kinds if key in _fields(kind)]
    if used:
        return f'{KIND} = "{_tag(place.section)}" does not use it, only {" and ".join(used)}: remove the line'
    known = list(_fields(place.section))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return f"unknown key; {hint}"


def _place(location: Sequence[str | int], root: type[BaseModel]) -> _Place:
    """Follow a location of pydantic's, which names members of unions besides keys, from the class of the whole file."""
    keys: list[str | int] = []
    holder: Any = None  # what the last key stands in
    kinds: tuple[Any, ...] = ()
    annotation: Any = root
    members: tuple[Any, ...] = ()
    for part in location:
        if part == "[key]":
            continue
        union, members = members, tuple(_members(annotation))
        if len(members) > 1 and part != KIND:
            annotation = next((member for member in members if part in (_tag(member), _name(member))), None)
            continue
        keys.append(part)
        holder, kinds = (members[0], union if len(union) > 1 else members) if members else (None, ())
        annotation = _inside(holder, part)
    return _Place(keys=tuple(keys), section=holder if _fields(holder) else None, kinds=kinds)


def _members(annotation: Any) -> Iterator[Any]:
    """Give the types that an annotation allows, without None."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    elif annotation not in (None, types.NoneType):
        yield annotation


def _inside(holder: Any, part: str | int) -> Any:
    """Give the type of what lies in a section, dict or tuple at a key."""
    if typing.get_origin(holder) in (dict, tuple):
        values = typing.get_args(holder)
        return values[1] if typing.get_origin(holder) is dict else values[0]
    field = _fields(holder).get(str(part))
    return None if field is None else field.annotation


def _fields(holder: Any) -> dict[str, Any]:
    """Give the fields of a section by their keys in the file; none of anything else."""
    if isinstance(holder, type) and not isinstance(holder, types.GenericAlias) and issubclass(holder, BaseModel):
        return {field.alias or name: field for name, field in holder.model_fields.items()}
    return {}


def _tag(holder: Any) -> str | None:
    field = _fields(holder).get(KIND)
    return None if field is None else next(iter(typing.get_args(field.annotation)), None)


def _name(member: Any) -> str:
    return getattr(member, "__name__", "")
