"""Fetches assets: sources in order, again after a break, and a hash before a file gets its name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bake.address import shown
from bake.assets.part import Part
from bake.assets.store import State
from bake.errors import EnvironmentUnfit, Interrupted
from bake.units import size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests

    from bake.assets.request import Request
    from bake.assets.store import Store

TRIES = 5  # of one source without a byte of progress
TRIES_TO_REACH = 2  # of a source that has given nothing yet
PAUSE = 1.0  # seconds before the second try; doubled each time, up to PAUSE_LIMIT
PAUSE_LIMIT = 30.0


class Watcher(Protocol):
    """What is told of a fetch as it goes."""

    def began(self, request: Request, url: str, there: int, total: int | None) -> None:
        """A transfer goes on from ``there`` bytes."""

    def came(self, count: int) -> None:
        """Bytes came."""

    def said(self, text: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that is whole and checked; ``known`` tells whether its hash was known beforehand."""

    request: Request
    path: Path
    sha256: str
    size: int
    known: bool


class _WrongContent(Exception):
    """All bytes came, and their hash is not the one that was wanted."""


def fetch(
    request: Request,
    store: Store,
    watcher: Watcher,
    *,
    session: requests.Session,
    pause: float = PAUSE,
    again: bool = False,
) -> Fetched:
    """Have the file on this machine: at once when it was checked before, else from the first source that gives it.

    Args:
        pause: seconds before the second try. again: read and check a file that was checked before.

    Raises:
        EnvironmentUnfit: no source gave it, or none the right one. Interrupted: Ctrl-C; what came is kept.
    """
    if _have(request, store, watcher, again=again):
        return _fetched(request, store)
    with Part(store.part_of(request)) as part:
        try:
            _from_any(request, store, watcher, session, part, pause)
        except (KeyboardInterrupt, Interrupted):
            raise Interrupted(
                f"interrupted; {size(part.size)} of {request.file} are kept",
                remedy="run the same command again: it goes on from there",
            ) from None
        sha256 = part.digest()
        part.finish(store.path_of(request))
    store.note(request, sha256)
    return _fetched(request, store)


def _have(request: Request, store: Store, watcher: Watcher, *, again: bool) -> bool:
    state = store.state(request)
    if state is State.FETCHED and not again:
        return True
    if store.path_of(request).is_file():
        watcher.said(f"{request.name}: checking {store.path_of(request)}")
        found = store.check(request)
        if request.sha256 in (None, found):
            return True
        watcher.said(f"{request.name}: its SHA-256 is {found}, not {request.sha256}; fetching it anew")
    elif request.sha256 is not None and store.adopt(request) == request.sha256:
        watcher.said(f"{request.name}: {store.by_hand(request)} is the right file; no need to fetch it")
        return True
    return False


def _fetched(request: Request, store: Store) -> Fetched:
    record = store.record(request)
    if record is None:
        raise AssertionError("a fetched file has a record")
    return Fetched(
        request=request,
        path=store.path_of(request),
        sha256=record.sha256,
        size=record.size,
        known=request.sha256 is not None,
    )


def _from_any(
    request: Request, store: Store, watcher: Watcher, session: requests.Session, part: Part, pause: float
) -> None:
    from bake.assets.transfer import Broken, Refused

    reasons: list[tuple[str, str]] = []
    for url in request.sources:
        try:
            _from_one(request, url, watcher, session, part, pause)
        except (Refused, Broken, _WrongContent) as error:
            reason = str(error).replace(url, shown(url))
            reasons.append((shown(url), reason))
            if url != request.sources[-1]:
                watcher.said(f"{request.name}: {shown(url)}: {reason}; trying the next source")
        else:
            return
    raise _no_source(request, store, reasons)


def _from_one(
    request: Request, url: str, watcher: Watcher, session: requests.Session, part: Part, pause: float
) -> None:
    """Transfer until all is there and right; a break is worth another try, progress makes the count begin anew."""
    from bake.assets.transfer import Broken, TooSlow, Unreachable, transfer

    def began(there: int, total: int | None) -> None:
        watcher.began(request, shown(url), there, total)

    tries, earlier, at_first = 0, bool(part.size), part.size
    while True:
        before = part.size
        try:
            transfer(session, request, url, part, began=began, came=watcher.came)
        except Broken as error:
            tries = 1 if part.size > before and not isinstance(error, TooSlow) else tries + 1
            # A host that gave bytes will come back; one that never answered most likely never will.
            if tries >= (TRIES_TO_REACH if isinstance(error, Unreachable) and part.size == at_first else TRIES):
                raise
            _wait(error.wait, pause * 2 ** (tries - 1), watcher, f"{request.name}: {error}")
            continue
        if request.sha256 in (None, found := part.digest()):
            return
        part.restart()
        if not earlier:
            raise _WrongContent(f"its SHA-256 is {found}, and {request.sha256} was expected")
        earlier = False
        watcher.said(f"{request.name}: what came earlier does not fit; beginning anew")


def _wait(asked: float | None, usual: float, watcher: Watcher, why: str, sleep: Callable[[float], None] = time.sleep
          ) -> None:  # fmt: skip
    seconds = min(usual if asked is None else asked, PAUSE_LIMIT)
    watcher.said(f"{why}; going on" + (f" in {seconds:.0f} s" if seconds >= 1 else ""))
    sleep(seconds)


def _no_source(request: Request, store: Store, reasons: list[tuple[str, str]]) -> EnvironmentUnfit:
    lines = [f"{request.file} could not be fetched:", *(f"  {url}: {reason}" for url, reason in reasons)]
    text = " ".join(reason for _, reason in reasons)
    remedies = []
    if "SHA-256" in text or "bytes there" in text:
        remedies.append(
            "if the file was meant to change at its source, mend sha256 and size in the recipe, or run `lock` again; "
            "if not, do not trust what the source gives"
        )
    if "certificate" in text:
        remedies.append("give your site's CA bundle (--ca-bundle, GENERATOR_CA_BUNDLE)")
    if any(reason.startswith(("401", "403", "407")) for _, reason in reasons):
        remedies.append("put the login for that host into ~/.netrc")
    if not remedies:
        remedies.append("mend the network, or the address in the recipe, and run it again")
    by_hand = f"or fetch it elsewhere and put it at {store.by_hand(request)}"
    return EnvironmentUnfit(
        "\n  ".join(lines),
        where=f"assets.{request.name}",
        remedy="; ".join([*remedies, by_hand] if request.sha256 else remedies),
    )
