"""Records of the build cache that rendered targets made: their cache mounts, and their steps.

BuildKit's cache has no labels. A cache mount is known by its id, which the templates give, and its namespace, which
the bake file gives (earlier releases gave none); a step by its command, which its record's description repeats word for
word. They are removed by their own ids, nothing else is; BuildKit keeps those that a build or another record uses.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bake.errors import EnvironmentUnfit
from bake.leftovers.leftover import Kind, Leftover

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MOUNT_ID = re.compile(r"--mount=type=cache,(?:[^\s]*,)?id=([^,\s]+)")
_HEREDOC = re.compile(r'<<-?"?(?P<end>[A-Z]+)"?\n(?P<body>.*?)^(?P=end)$', re.DOTALL | re.MULTILINE)
_IN_RECORD = re.compile(r'with id "(?P<namespace>[^"]*)/(?P<id>[^"/]+)"\s*$')
_SIZE = re.compile(r"(?P<number>[\d.]+)\s*(?P<unit>[kMGT]?)B")
_FACTOR = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SHORT = 20  # a command below this is too common to tell whose it is
_AT_ONCE = 100  # ids of one call


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What tells the cache of rendered targets: ids of cache mounts, how their namespaces begin, and commands."""

    mounts: frozenset[str]
    commands: tuple[str, ...]
    scopes: tuple[str, ...] = ("",)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record of the cache, as ``docker buildx du`` lists it."""

    id: str
    description: str
    size: int
    mount: bool
    reclaimable: bool


def marks_of(dockerfiles: Iterable[str], *, scopes: tuple[str, ...] = ("",)) -> Marks:
    """Read the marks off rendered Dockerfiles; the namespaces of their cache mounts begin with one of the scopes."""
    texts = tuple(dockerfiles)
    bodies = (match["body"].strip() for text in texts for match in _HEREDOC.finditer(text))
    return Marks(
        mounts=frozenset(found for text in texts for found in _MOUNT_ID.findall(text)),
        commands=tuple(sorted({body for body in bodies if len(body) >= _SHORT})),
        scopes=scopes,
    )


def records(builder: str | None) -> list[Record]:
    """List the cache.

    Raises:
        EnvironmentUnfit: buildx does not answer, or is too old to list it for programs.

    """
    return [_record(json.loads(line)) for line in _buildx("du", "--format", "json", builder=builder).splitlines()]


def ours(found: Iterable[Record], marks: Marks) -> list[Record]:
    """Those records that the marks tell."""
    return [record for record in found if _marked(record, marks)]


def find_cache(builder: str | None, marks: Marks) -> Iterator[Leftover]:
    """List the cache of rendered targets: one line for all mounts of an id, one for all steps."""
    groups: dict[str, list[Record]] = {}
    for record in ours(records(builder), marks):
        match = _IN_RECORD.search(record.description) if record.mount else None
        groups.setdefault(f"cache mount {match['id']}" if match else "steps", []).append(record)
    for name, members in sorted(groups.items()):
        yield _leftover(name, members, builder)


def _leftover(name: str, members: list[Record], builder: str | None) -> Leftover:
    def remove() -> int:
        ids = [record.id for record in members]
        for first in range(0, len(ids), _AT_ONCE):
            wanted = "|".join(ids[first : first + _AT_ONCE])
            # --all: without it, records that share a layer with an image stay.
            _buildx("prune", "--force", "--all", "--filter", f"id=^({wanted})$", builder=builder)
        still = {record.id for record in records(builder)}
        return sum(record.size for record in members if record.id not in still)

    count = f"{len(members)} record{'s' if len(members) > 1 else ''}"
    size = sum(record.size for record in members if record.reclaimable)
    return Leftover(kind=Kind.CACHE, name=name, size=size, why=count, remove=remove)


def _marked(record: Record, marks: Marks) -> bool:
    if record.mount:
        match = _IN_RECORD.search(record.description)
        if match is None or match["id"] not in marks.mounts:
            return False
        return not match["namespace"] or match["namespace"].startswith(marks.scopes)
    return any(command in record.description for command in marks.commands)


def _record(row: Mapping[str, Any]) -> Record:
    return Record(
        id=str(row["ID"]),
        description=str(row.get("Description", "")),
        size=_bytes(str(row.get("Size", ""))),
        mount=row.get("Type") == "exec.cachemount",
        reclaimable=bool(row.get("Reclaimable", True)),
    )


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    return int(float(match["number"]) * _FACTOR[match["unit"]]) if match else 0


def _buildx(*arguments: str, builder: str | None) -> str:
    command = ["docker", "buildx", *arguments, *(["--builder", builder] if builder else [])]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        reason = "there is no docker command on PATH"
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1] if error.stderr.strip() else f"status {error.returncode}"
    raise EnvironmentUnfit(
        f"the build cache can't be looked at: {reason}",
        where=f"docker buildx {arguments[0]}",
        remedy="update buildx (0.24 or later lists its cache for programs), or leave --cache out",
    )
