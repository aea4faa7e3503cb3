"""How a conversion script fails: every failing subject at once, its name and reason on the last lines."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, Callable, Sequence, Tuple


class ConversionError(Exception):
    """Something that a recipe, an image or a model file causes; its text is shown without a traceback."""


class SpecError(ConversionError):
    """The JSON handed to a script is wrong; the text lists every mistake."""


Failures = Sequence[Tuple[str, str]]


def show_failures(what: str, failures: Failures, total: int) -> None:
    """Print the failing subjects on stderr, the last thing that a build log shows.

    Args:
        what: the kind of subject, in the plural, as in "models".
        failures: pairs of subject and reason; a reason may have several lines.
        total: how many subjects were tried.
    """
    sys.stdout.flush()
    lines = [f"{len(failures)} of {total} {what} failed:"]
    for subject, reason in failures:
        first, *more = reason.splitlines() or ["no reason given"]
        lines.append(f"  {subject}: {first}")
        lines.extend(f"      {line.strip()}" for line in more)
    print("\n".join(lines), file=sys.stderr)


def describe(error: BaseException) -> str:
    """The text of an exception, with its type unless the text is one of ours."""
    text = str(error).strip()
    if isinstance(error, ConversionError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read_json(path: Path) -> Any:
    """A JSON document; a `SpecError` names the file where it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"can't read {path}: {error}") from error


def run(main: Callable[[], int]) -> None:
    """Run a script's main; a `ConversionError` becomes its text and exit status 2."""
    for stream in (sys.stdout, sys.stderr):  # source and paths may hold what the locale can't show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main()
    except ConversionError as error:
        print(f"conversion: {error}", file=sys.stderr)
        status = 2
    raise SystemExit(status)
