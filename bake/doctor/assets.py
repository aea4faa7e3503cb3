"""Looks whether the recipe's assets are on this machine, whole and checked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bake.assets import State, Store, fetch
from bake.assets.shown import shown
from bake.doctor.finding import Engine, Finding, Say, Subject, error, ok, warning
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bake.assets import Request

NAME = "assets"


def check(subject: Subject, _engine: Engine) -> Iterator[Finding]:
    """Check each asset by its record: no file is read."""
    if subject.assets_folder is None:
        return
    store = Store(subject.assets_folder)
    for request in subject.assets:
        mend = partial(_fetch, request, subject)
        record, part = store.record(request), store.part_of(request)
        match store.state(request):
            case State.FETCHED if record is not None and request.sha256:
                yield ok(NAME, f"{request.name}: {request.file}, {size(record.size)}, SHA-256 as expected")
            case State.FETCHED:
                yield warning(
                    NAME,
                    f"{request.name}: {request.file} is there, and nobody knows what its SHA-256 should be",
                    "compare it with the publisher's, then write it into the recipe or run `lock`",
                )
            case State.UNCHECKED:
                message = f"{request.name}: {store.path_of(request)} is not the file that was checked"
                yield error(NAME, message, "run `fetch`: it is checked, and fetched anew if it is wrong", mend)
            case State.PARTIAL:
                message = f"{request.name}: {size(part.stat().st_size)} of {request.file} are there"
                yield _missing(request)(NAME, message, "run `fetch`: it goes on from there", mend)
            case _:
                of = f", {size(request.size)}," if request.size else ""
                message = f"{request.name}: {request.file}{of} is not on this machine"
                yield _missing(request)(NAME, message, "run `fetch`, or leave it to the build", mend)


def _missing(request: Request) -> Callable[[str, str, str, Callable[[Say], None]], Finding]:
    """A build fetches what is missing itself, without resuming, when it knows what has to come."""
    return warning if request.sha256 else error


def _fetch(request: Request, subject: Subject, say: Say) -> None:
    from bake.assets.transfer import open_session

    if subject.assets_folder is None:
        return
    with open_session(subject.ca_bundle, subject.netrc) as session, shown() as watcher:
        fetched = fetch(request, Store(subject.assets_folder), watcher, session=session)
    say(f"fetched {fetched.path}")
