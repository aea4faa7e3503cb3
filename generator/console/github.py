"""What GitHub Actions shows beside a step: annotations. Pure: text out, nothing read or written.

Workflow commands have the syntax and escapes of GitHub's own client (actions/toolkit, packages/core/src/command.ts).
They hold names, places and numbers only: a build's output stays in the log, and no value of a variable is in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bake.errors import BuildFailed, EnvironmentUnfit, Interrupted, UsageError, VerificationFailed
from bake.progress.escapes import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bake.errors import UpliftError

SHOWN = 10  # annotations that GitHub shows of one step, for each kind
LINES, WIDTH = 12, 300  # of an annotation's message
# A file of ours with a line, where one is known; a registry's host and port are no place.
_PLACE = re.compile(r"(?P<file>[^\s:]*(?:\.toml|\.hcl|Dockerfile))(?::(?P<line>\d+))?(?=$|[:,\s])(?:: )?")
_TITLES: tuple[tuple[type[UpliftError], str], ...] = (
    (UsageError, "wrong usage or recipe"),
    (EnvironmentUnfit, "the surroundings are not fit"),
    (VerificationFailed, "a check failed"),
    (Interrupted, "interrupted"),
    (BuildFailed, "the build failed"),
)


def is_active(environ: Mapping[str, str]) -> bool:
    """Tell whether this runs as a step of GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"


def command(name: str, message: str, **properties: str | int | None) -> str:
    """Write a workflow command: ``::error file=x,line=1::message``; properties without a value are left out."""
    named = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value not in (None, ""))
    return f"::{name}{' ' + named if named else ''}::{_data(message)}"


def warning(text: str) -> str:
    """Write a warning's annotation, with its place where the text begins with one."""
    return command("warning", short(text), **_place(text))


def failure_annotations(error: UpliftError) -> Iterator[str]:
    """Write a failure's annotations: one for each mistake that has a place of its own, else one for the whole."""
    title = next((text for kind, text in _TITLES if isinstance(error, kind)), "failed")
    mistakes = [line.strip() for line in error.message.splitlines()[1:] if _PLACE.match(line.strip())]
    if isinstance(error, UsageError) and mistakes:
        for line in mistakes[:SHOWN]:
            yield command("error", short(_PLACE.sub("", line, count=1)), **_place(line), title=title)
        return
    remedy = f"what to do: {error.remedy}" if error.remedy else ""
    message = "\n".join(filter(None, (error.where, *brief(error.message), short(remedy))))
    yield command("error", message, **_place(error.where or ""), title=title)


def _place(text: str) -> dict[str, str | None]:
    """Give the properties of the place that a text begins with."""
    match = _PLACE.match(text)
    return {} if match is None else {"file": match["file"], "line": match["line"]}


def brief(message: str) -> list[str]:
    """Give what a message says without the output of programs, which begins with a bar in each line."""
    lines = [line for line in message.splitlines() if not line.lstrip().startswith("|")]
    kept = [short(line) for line in lines if line.strip() != "its last output:"]
    return kept[:LINES] + ([f"… and {len(kept) - LINES} more lines in the log"] if len(kept) > LINES else [])


def _data(text: str) -> str:
    return printable(text.replace("\r", "\n")).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")


def short(text: str) -> str:
    """Cut a text to the width of a line in an annotation."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
